"""Every failure as one JSON shape, never as a traceback.

A handler raises ApiError for an HTTP status of its own. Below the HTTP layer InvalidInput becomes 422; NotFound becomes
404 for GET and 422 for POST, because there a field of the body names the product.
"""

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
    """A request that the HTTP layer refuses, with its status, error type and headers."""

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
        return error_response(self.status, self.problem, self.headers)


def error_response(status: int, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    body = ErrorBody(error=problem).model_dump_json(exclude_none=True)
    return Response(body, status, headers, media_type="application/json")


def problem_of(error: ValidationError | RequestValidationError, model: type[BaseModel] | None = None) -> Problem:
    """The first validation error, as a sentence that names the field. `model`, if given, has the valid field names."""
    first: Mapping[str, Any] = error.errors()[0]
    path: Sequence[object] = [part for part in first["loc"] if part not in ("query", "path", "body")]
    field = ".".join(str(part) for part in path)[:120]
    if first["type"] == "extra_forbidden":
        known_fields = ", ".join(_field_names(model, path[:-1])) if model else "in the documentation at /docs"
        return Problem(type="invalid", field=field, message=f"{field}: unknown; the valid fields are {known_fields}")
    if first["type"] == "value_error":
        return Problem(type="invalid", field=field, message=f"{field}: {first['ctx']['error']}")
    message_text = str(first["msg"])
    message = f"{field}: {message_text[:1].lower()}{message_text[1:]}, not {_shortened(first['input'])}"
    return Problem(type="invalid", field=field, message=message)


def _field_names(model: type[BaseModel], path: Sequence[object]) -> list[str]:
    """The field names of the model at this path."""
    for name in path:
        if isinstance(name, str) and name in model.model_fields:
            model = _model_in(model.model_fields[name].annotation) or model
    return list(model.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model inside an annotation, for example of the members of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for arg in get_args(annotation) if (model := _model_in(arg))), None)


def _shortened(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def add_error_handlers(app: FastAPI, policy: SearchPolicy) -> None:
    """Register a JSON response for every error that handlers raise deliberately."""

    async def api_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)  # noqa: S101
        return error.response

    async def not_found(request: Request, error: Exception) -> Response:
        status = 404 if request.method == "GET" else 422
        return error_response(status, Problem(type="not_found", message=str(error)))

    async def invalid_input(request: Request, error: Exception) -> Response:
        return error_response(422, Problem(type="invalid", message=str(error)))

    async def image_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, ImageProblem)  # noqa: S101
        return error_response(422, Problem(type="image", message=error.reason, state=error.state))

    async def unavailable(request: Request, error: Exception) -> Response:
        return error_response(
            503, Problem(type="unavailable", message=str(error)), {"retry-after": str(policy.retry_after)}
        )

    async def validation_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return error_response(422, problem_of(error))

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        message = f"{request.method} {request.url.path}: {str(error.detail).lower()}; see /docs for the available paths"
        return error_response(error.status_code, Problem(type=_TYPES.get(error.status_code, "http"), message=message))

    async def disconnected(request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # the client has disconnected

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(NotFound, not_found)
    app.add_exception_handler(InvalidInput, invalid_input)
    app.add_exception_handler(ImageProblem, image_problem)
    app.add_exception_handler(Unavailable, unavailable)
    app.add_exception_handler(RequestValidationError, validation_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(ClientDisconnect, disconnected)


class ErrorMiddleware:
    """The outermost ASGI layer: security headers on every response, and JSON with status 500 for unexpected errors.

    An unexpected error is logged once, with its traceback.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            message_text = (
                str(error)
                if isinstance(error, LiveshelfError)
                else "The service failed unexpectedly; see its log for the cause."
            )
            await error_response(500, Problem(type="internal", message=message_text))(scope, receive, send_with_headers)
