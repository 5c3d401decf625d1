"""Every failure as one JSON shape, and never a traceback to the client."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog.errors import ImageProblem, InvalidInput, LiveshelfError, NotFound, Unavailable
from search.policy import SearchPolicy
from search.schemas.responses import ErrorBody, Problem

log = logging.getLogger(__name__)

_TYPES = {404: "not_found", 405: "method_not_allowed"}
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


class ApiError(Exception):
    """A request turned away at the door, with the status that says why."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = Problem(type=kind, message=message, field=field)
        self.headers = headers

    @property
    def response(self) -> Response:
        return answer(self.status, self.problem, self.headers)


def answer(status: int, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    body = ErrorBody(error=problem).model_dump_json(exclude_none=True)
    return Response(body, status, headers, media_type="application/json")


def invalid(error: ValidationError | RequestValidationError, model: type[BaseModel] | None = None) -> Problem:
    """The first thing wrong, as a sentence that names the field. `model` is what the fields are of, where one is."""
    first: Mapping[str, Any] = error.errors()[0]
    places: Sequence[object] = [part for part in first["loc"] if part not in ("query", "path", "body")]
    field = ".".join(str(part) for part in places)[:120]
    if first["type"] == "extra_forbidden":
        known = ", ".join(_known(model, places[:-1])) if model else "in the documentation at /docs"
        return Problem(type="invalid", field=field, message=f"{field}: unknown; the fields there are {known}")
    if first["type"] == "value_error":
        return Problem(type="invalid", field=field, message=f"{field}: {first['ctx']['error']}")
    said = str(first["msg"])
    message = f"{field}: {said[:1].lower()}{said[1:]}, not {_show(first['input'])}"
    return Problem(type="invalid", field=field, message=message)


def _known(model: type[BaseModel], places: Sequence[object]) -> list[str]:
    """The fields of what is found in a model at these places."""
    for place in places:
        if isinstance(place, str) and place in model.model_fields:
            model = _inner(model.model_fields[place].annotation) or model
    return list(model.model_fields)


def _inner(annotation: object) -> type[BaseModel] | None:
    """The model within an annotation, such as that of a list's members."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _inner(arg))), None)


def _show(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def answer_errors(app: FastAPI, policy: SearchPolicy) -> None:
    """Give the app an answer to every error raised on purpose."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)  # noqa: S101
        return error.response

    async def not_there(request: Request, error: Exception) -> Response:
        status = 404 if request.method == "GET" else 422
        return answer(status, Problem(type="not_found", message=str(error)))

    async def misuse(request: Request, error: Exception) -> Response:
        return answer(422, Problem(type="invalid", message=str(error)))

    async def image(request: Request, error: Exception) -> Response:
        assert isinstance(error, ImageProblem)  # noqa: S101
        return answer(422, Problem(type="image", message=error.reason, state=error.state))

    async def unavailable(request: Request, error: Exception) -> Response:
        return answer(503, Problem(type="unavailable", message=str(error)), {"retry-after": str(policy.retry_after)})

    async def unvalidated(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return answer(422, invalid(error))

    async def unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        message = f"{request.method} {request.url.path}: {str(error.detail).lower()}; see /docs for what there is"
        return answer(error.status_code, Problem(type=_TYPES.get(error.status_code, "http"), message=message))

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # nobody is there to read it

    app.add_exception_handler(ApiError, refused)
    app.add_exception_handler(NotFound, not_there)
    app.add_exception_handler(InvalidInput, misuse)
    app.add_exception_handler(ImageProblem, image)
    app.add_exception_handler(Unavailable, unavailable)
    app.add_exception_handler(RequestValidationError, unvalidated)
    app.add_exception_handler(HTTPException, unrouted)
    app.add_exception_handler(ClientDisconnect, gone)


class ErrorMiddleware:
    """The outermost layer: safe headers on every answer, and 500 as JSON for what nobody expected (logged once)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            said = str(error) if isinstance(error, LiveshelfError) else "Something went wrong here; the log says what."
            await answer(500, Problem(type="internal", message=said))(scope, receive, sending)
