"""POST /candidates: a wide and cheap set of products for a ranking system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field

from catalog.filters import OWN_FIELDS
from catalog.gather import Gather
from catalog.state import ATTRIBUTE
from search.asked import Asker, read
from search.asking import FILTER_EXAMPLE, QueryFields
from search.caller import Caller, caller_of
from search.columns import ARROW, JSON, LINES, as_arrow, as_json, as_lines
from search.description import body_of
from search.desk import deadline_of
from search.errors import Refused
from search.finding import within
from search.policy import SearchPolicy

# What a candidate may bring along beside attributes.
FIELDS = ("title", "images", "event_time", "image_state", *OWN_FIELDS)


class CandidatesRequest(QueryFields):
    """A query for candidates: what is looked for, how many, and what each brings along."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"text": "sea green mug", "limit": 10_000, "filter": FILTER_EXAMPLE, "fields": ["price"]}]
        }
    )

    limit: int = Field(default=1000, description="How many at most, 1 to 10000.")
    fields: list[str] = Field(
        default=[],
        description="What each brings along: title, images, price, currency, available, tenant, event_time, "
        "image_state; any other name is an attribute.",
        examples=[["price", "brand"]],
    )
    timeout_ms: int = Field(
        default=2000,
        ge=1,
        le=15_000,
        description="The time the answer may take. Where it runs out, fewer candidates come, or such as were found by "
        "the words alone; `degraded` says which, and `partial` is true.",
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
    "space": "builtin-small-1a2b3c4d",
    "took_ms": {"encode": 8.4, "search": 41.0, "total": 49.4},
}


def candidates(gather: Gather, asker: Asker, policy: SearchPolicy) -> APIRouter:
    """The route."""
    routes = APIRouter()

    @routes.post(
        "/candidates",
        summary="Many products, in brief",
        openapi_extra={"requestBody": body_of(CandidatesRequest)},
        responses={
            200: {
                "description": "Lists of one length, best first. `tenants` where the candidates are of several, "
                "`tenant` where they are of one.",
                "content": {JSON: {"example": EXAMPLE}, LINES: {}, ARROW: {}},
            }
        },
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
        found = await gather(query, fields=fields, within_s=within(request))
        match kind:
            case "lines":
                return StreamingResponse(as_lines(found), media_type=LINES)
            case "arrow":
                return Response(as_arrow(found), media_type=ARROW)
        return Response(as_json(found), media_type=JSON)

    return routes


def wanted(request: Request) -> str:
    """The first of json, lines and arrow that the request accepts most. Raises Refused where it accepts none."""
    best, worth = "json", -1.0
    for part in request.headers.get("accept", "*/*").split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        kind = _KINDS.get(name)
        quality = next((_quality(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
        if kind and quality > max(worth, 0.0):
            best, worth = kind, quality
    if worth < 0:
        raise Refused(406, "not_acceptable", f"candidates come as {JSON}, {LINES} or {ARROW}: accept one of them")
    return best


_KINDS: Mapping[str, str] = {
    JSON: "json",
    "application/*": "json",
    "*/*": "json",
    LINES: "lines",
    ARROW: "arrow",
}


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _path(name: str) -> str:
    if not name or len(name) > 200:
        raise Refused(422, "invalid", "fields: a name has 1 to 200 characters", field="fields")
    return name if name in FIELDS else ATTRIBUTE + name
