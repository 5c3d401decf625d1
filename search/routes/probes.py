"""Whether the service is up: /livez and /readyz for orchestrators, /v1/status for programs and people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse

from search.auth.caller import Caller, Scope, caller_of
from search.health import Health
from search.schemas.responses import StatusBody

CheckHealth = Callable[[], Awaitable[Health]]


def probe_routes(health: CheckHealth) -> APIRouter:
    """The probes of orchestrators. They need no key."""
    routes = APIRouter()

    @routes.get(
        "/livez",
        summary="Whether the process answers",
        response_class=PlainTextResponse,
        responses={200: {"content": {"text/plain": {"example": "ok"}}, "description": "The process answers."}},
    )
    async def livez() -> str:
        """Always `ok`: a process that hangs does not answer. Restart it then."""
        return "ok"

    @routes.get(
        "/readyz",
        summary="Whether queries can be answered",
        response_class=PlainTextResponse,
        responses={
            200: {"content": {"text/plain": {"example": "ok"}}, "description": "Queries can be answered."},
            503: {
                "content": {"text/plain": {"example": "The index did not answer within 2 s."}},
                "description": "The index does not answer; the text says why.",
            },
        },
    )
    async def readyz() -> PlainTextResponse:
        """`ok` while the index answers, and 503 with the reason while it does not. Send no queries here then."""
        now = await health()
        return PlainTextResponse("ok" if now.ok else now.message, 200 if now.ok else 503)

    return routes


def status_routes(health: CheckHealth) -> APIRouter:
    """The state of the service. It needs no key, and counts products only for a key that may read all of them."""
    routes = APIRouter()

    @routes.get(
        "/status",
        summary="The state of the service",
        response_model=StatusBody,
        responses={503: {"model": StatusBody, "description": "The index does not answer."}},
    )
    async def status(caller: Annotated[Caller, Depends(caller_of)]) -> Response:
        """Status 200 while the index answers and 503 while it does not. `products` is null without a key that may
        read the products of all tenants."""
        now = await health()
        counts = Scope.READ in caller.scopes and caller.tenant is None
        body = StatusBody(
            status="ok" if now.ok else "unavailable",
            index=now.ok,
            space=now.space,
            products=now.products if counts else None,
            message=now.message,
        )
        return Response(body.model_dump_json(), 200 if now.ok else 503, media_type="application/json")

    return routes
