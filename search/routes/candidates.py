"""POST /candidates: up to 10,000 products with few fields, for a ranking system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field

from catalog.domain.filters import OWN_FIELDS
from catalog.domain.state import ATTRIBUTE
from catalog.query.candidates import CandidateService
from search.auth.caller import Caller, caller_of
from search.errors import ApiError
from search.middleware.concurrency import deadline_of
from search.parsing.query_builder import QueryBuilder, read_request
from search.policy import SearchPolicy
from search.routes.search import SEARCH_ERRORS, time_left
from search.schemas.candidate_formats import ARROW, JSON, LINES, as_arrow, as_json, as_lines
from search.schemas.openapi import body_of, errors_of
from search.schemas.requests import FILTER_EXAMPLE, MAX_MS, FieldName, QueryFields, between

# The fields of a candidate that are not attributes.
FIELDS = ("title", "images", "event_time", "image_state", *OWN_FIELDS)


class CandidatesRequest(QueryFields):
    """A query for candidates, their maximum number and their fields."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"text": "sea green mug", "limit": 10_000, "filter": FILTER_EXAMPLE, "fields": ["price"]}]
        }
    )

    limit: int = Field(
        default=1000, description="Maximum number of candidates, from 1 to 10000.", json_schema_extra=between(1, 10_000)
    )
    fields: list[FieldName] = Field(
        default=[],
        description="Up to 16 fields: title, images, price, currency, available, tenant, event_time, "
        "image_state; any other name is an attribute.",
        examples=[["price", "brand"]],
    )
    timeout_ms: int | None = Field(
        default=2000,
        ge=1,
        le=MAX_MS,
        description="Time limit of the answer, in milliseconds. If it is exceeded, there are fewer candidates or only "
        "those found by words. `partial` is then true, and `degraded` gives the reason.",
    )


EXAMPLE: dict[str, Any] = {
    "tenant": "default",
    "ids": ["sku-1", "sku-7"],
    "scores": [0.83, 0.79],
    "content_versions": [1732245000123, 1732245000456],
    "offer_versions": [1732245000123, 1732245007001],
    "fields": {"price": [12.5, None]},
    "partial": False,
    "degraded": [],
    "mode": "dense",
    "space": "builtin-small-1a2b3c4d",
    "took_ms": {"encode": 8.4, "search": 41.0, "total": 49.4},
}


LINES_EXAMPLE = """{"id":"sku-1","tenant":"default","score":0.83,"content_version":7,"offer_version":9}
{"count":1,"partial":false,"degraded":[],"mode":"dense","space":"builtin-small-1a2b3c4d","took_ms":{"total":49.4}}
"""
ANSWER: dict[str, Any] = {
    "description": "As JSON: lists of equal length, best first, `tenant` if all candidates share one, else `tenants`. "
    "As lines: one object for each candidate, then the summary. As Arrow: a stream of one batch; the "
    "metadata of its schema has the summary as JSON under `liveshelf`.",
    "content": {
        JSON: {"schema": {"type": "object"}, "example": EXAMPLE},
        LINES: {"schema": {"type": "string"}, "example": LINES_EXAMPLE},
        ARROW: {"schema": {"type": "string", "format": "binary"}},
    },
}
ERRORS = SEARCH_ERRORS | errors_of(_406="The header Accept names no available format.")

_KINDS: Mapping[str, str] = {JSON: JSON, "application/*": JSON, "*/*": JSON, LINES: LINES, ARROW: ARROW}


def candidate_routes(
    candidate_service: CandidateService, query_builder: QueryBuilder, policy: SearchPolicy
) -> APIRouter:
    """The route POST /candidates."""
    routes = APIRouter()

    @routes.post(
        "/candidates",
        summary="Many products with few fields",
        openapi_extra={"requestBody": body_of(CandidatesRequest)},
        responses={200: ANSWER, **ERRORS},
        response_class=Response,
    )
    async def candidates(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> Response:
        """Up to 10,000 products in one call, for a ranking system, with ids, scores, versions and requested fields.
        The header Accept chooses JSON, lines of JSON, or an Arrow stream."""
        media_type = accepted_type(request)
        candidates_request, uploads = await read_request(request, CandidatesRequest, policy)
        deadline_of(request).shorten(candidates_request.timeout_ms)
        query = replace(await query_builder.build(candidates_request, uploads, caller), limit=candidates_request.limit)
        fields = tuple(dict.fromkeys(_path(name) for name in candidates_request.fields))
        result = await candidate_service(query, fields=fields, within_s=time_left(request))
        if media_type == LINES:
            return StreamingResponse(as_lines(result), media_type=LINES)
        return Response(as_arrow(result) if media_type == ARROW else as_json(result), media_type=media_type)

    return routes


def accepted_type(request: Request) -> str:
    """The media type that the request prefers. Raises ApiError (406) if it accepts no available format."""
    best, best_quality = "", 0.0
    for part in request.headers.get("accept", "*/*").split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((_quality(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        if name in _KINDS and quality > best_quality:
            best, best_quality = _KINDS[name], quality
    if not best:
        raise ApiError(406, "not_acceptable", f"candidates come as {JSON}, {LINES} or {ARROW}: accept one of them")
    return best


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _path(name: str) -> str:
    return name if name in FIELDS else ATTRIBUTE + name
