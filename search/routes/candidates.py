"""POST /candidates: a wide and cheap set of products for a ranking system."""

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
from search.parsing.query_builder import QueryBuilder, read
from search.policy import SearchPolicy
from search.routes.search import SEARCH_ERRORS, time_left
from search.schemas.candidate_formats import ARROW, JSON, LINES, as_arrow, as_json, as_lines
from search.schemas.openapi import body_of, errors_of
from search.schemas.requests import FILTER_EXAMPLE, MAX_MS, FieldName, QueryFields, between

# What a candidate may bring along beside attributes.
FIELDS = ("title", "images", "event_time", "image_state", *OWN_FIELDS)


class CandidatesRequest(QueryFields):
    """A query for candidates: what is looked for, how many, and what each brings along."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"text": "sea green mug", "limit": 10_000, "filter": FILTER_EXAMPLE, "fields": ["price"]}]
        }
    )

    limit: int = Field(
        default=1000, description="How many at most, from 1 to 10000.", json_schema_extra=between(1, 10_000)
    )
    fields: list[FieldName] = Field(
        default=[],
        description="What each brings along, up to 16: title, images, price, currency, available, tenant, event_time, "
        "image_state; any other name is an attribute.",
        examples=[["price", "brand"]],
    )
    timeout_ms: int | None = Field(
        default=2000,
        ge=1,
        le=MAX_MS,
        description="The time the answer may take. Where it runs out there are fewer candidates, or those that were "
        "found by the words alone: `partial` is true, and `degraded` says why.",
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
    "description": "Lists of one length, best first; `tenants` where the candidates are of several, `tenant` where "
    "they are of one. Or a line for each, and the summary as the last. Or an Arrow stream of one batch; its schema's "
    "metadata has the summary, as JSON under `liveshelf`.",
    "content": {
        JSON: {"schema": {"type": "object"}, "example": EXAMPLE},
        LINES: {"schema": {"type": "string"}, "example": LINES_EXAMPLE},
        ARROW: {"schema": {"type": "string", "format": "binary"}},
    },
}
ERRORS = SEARCH_ERRORS | errors_of(_406="The header Accept names nothing that is made here.")

_KINDS: Mapping[str, str] = {JSON: JSON, "application/*": JSON, "*/*": JSON, LINES: LINES, ARROW: ARROW}


def candidate_routes(gather: CandidateService, asker: QueryBuilder, policy: SearchPolicy) -> APIRouter:
    """The route."""
    routes = APIRouter()

    @routes.post(
        "/candidates",
        summary="Many products, in brief",
        openapi_extra={"requestBody": body_of(CandidatesRequest)},
        responses={200: ANSWER, **ERRORS},
        response_class=Response,
    )
    async def many(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> Response:
        """Up to 10,000 products in one call, with ids, scores, versions and what else is asked for, for a system that
        ranks them: as JSON, as lines of JSON, or as an Arrow stream, whichever the header Accept names."""
        kind = wanted(request)
        asked, uploads = await read(request, CandidatesRequest, policy)
        deadline_of(request).shorten(asked.timeout_ms)
        query = replace(await asker.query(asked, uploads, caller), limit=asked.limit)
        fields = tuple(dict.fromkeys(_path(name) for name in asked.fields))
        found = await gather(query, fields=fields, within_s=time_left(request))
        if kind == LINES:
            return StreamingResponse(as_lines(found), media_type=LINES)
        return Response(as_arrow(found) if kind == ARROW else as_json(found), media_type=kind)

    return routes


def wanted(request: Request) -> str:
    """The media type that the request accepts most. Raises ApiError where it accepts none of ours."""
    best, worth = "", 0.0
    for part in request.headers.get("accept", "*/*").split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((_quality(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        if name in _KINDS and quality > worth:
            best, worth = _KINDS[name], quality
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
