"""The state of the service: /livez and /readyz for orchestrators, /v1/status for programs and people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse

from search.auth.caller import Caller, KeyScope, caller_of
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
        """Always `ok`: a process that hangs does not answer and should be restarted."""
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
        """`ok` if the index answers, else 503 with the reason. Send queries only while it is `ok`."""
        current = await health()
        return PlainTextResponse("ok" if current.ok else current.message, 200 if current.ok else 503)

    return routes


def status_routes(health: CheckHealth) -> APIRouter:
    """The state of the service. It needs no key. Only a key that may read all tenants gets the number of products."""
    routes = APIRouter()

    @routes.get(
        "/status",
        summary="The state of the service",
        response_model=StatusBody,
        responses={503: {"model": StatusBody, "description": "The index does not answer."}},
    )
    async def status(caller: Annotated[Caller, Depends(caller_of)]) -> Response:
        """Status 200 if the index answers, else 503. `products` is null without a key that may read all tenants."""
        current = await health()
        may_count = KeyScope.READ in caller.scopes and caller.tenant is None
        body = StatusBody(
            status="ok" if current.ok else "unavailable",
            index=current.ok,
            space=current.space,
            products=current.products if may_count else None,
            message=current.message,
        )
        return Response(body.model_dump_json(), 200 if current.ok else 503, media_type="application/json")

    return routes
