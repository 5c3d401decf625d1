"""The routes that find products: by a query, like a product, and what there is to filter on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from catalog.domain.filters import name_of
from catalog.query.search import SearchService
from search.auth.caller import Caller, caller_of
from search.middleware.concurrency import deadline_of
from search.parsing.query_builder import QueryBuilder, facets_query, read, similar_query, with_result_options
from search.policy import SearchPolicy
from search.routes.products import ProductId
from search.schemas.openapi import body_of, errors_of
from search.schemas.requests import FacetParams, SearchRequest, SimilarParams
from search.schemas.responses import FieldsBody, FoundBody, counts_of

SEARCH_ERRORS = errors_of(
    _400="The body is not JSON, or not a form.",
    _413="The image is too large.",
    _415="The body is neither JSON nor a form.",
    _422="The query makes no sense; the message names the field.",
    _429="More is being asked than can be answered, or than this key may ask; see Retry-After.",
    _503="A service does not answer, or not in time; try again after the seconds in Retry-After.",
)
SIMILAR_ERRORS = errors_of(
    _404="No such product, or it was deleted.",
    _422="A parameter makes no sense; the message names it.",
    _429="More is being asked than can be answered, or than this key may ask; see Retry-After.",
    _503="A service does not answer, or not in time; try again after the seconds in Retry-After.",
)
FACETS_ERRORS = errors_of(_422="A parameter makes no sense; the message names it.", _503="The index does not answer.")
Who = Annotated[Caller, Depends(caller_of)]


def search_routes(
    find: SearchService, asker: QueryBuilder, policy: SearchPolicy, clock: Callable[[], float]
) -> APIRouter:
    """The routes. `clock` gives seconds since 1970."""
    routes = APIRouter()

    @routes.post(
        "/search",
        summary="Find products",
        response_model=FoundBody,
        openapi_extra={"requestBody": body_of(SearchRequest)},
        responses=SEARCH_ERRORS,
    )
    async def search(request: Request, caller: Who) -> Response:
        """Give text, an image (as a URL, or uploaded in a form), both, or a mix: the live products that answer best."""
        asked, uploads = await read(request, SearchRequest, policy)
        deadline_of(request).shorten(asked.timeout_ms)
        query = with_result_options(await asker.query(asked, uploads, caller), asked)
        found = await find(replace(query, within_s=time_left(request)))
        return _answer(FoundBody.of(found, clock()))

    # An id may hold slashes, so this has to be tried before the product itself.
    @routes.get(
        "/products/{product_id:path}/similar",
        summary="Products like one",
        response_model=FoundBody,
        responses=SIMILAR_ERRORS,
    )
    async def similar(
        request: Request, product_id: ProductId, asked: Annotated[SimilarParams, Query()], caller: Who
    ) -> Response:
        """The live products most like one that is there, less itself and its variants (those of the same parent)."""
        key = asker.key(product_id, asked.tenant, caller)
        deadline_of(request).shorten(asked.timeout_ms)
        found = await find.similar(key, replace(similar_query(asked, caller), within_s=time_left(request)))
        return _answer(FoundBody.of(found, clock()))

    @routes.get("/facets", summary="What to filter on", response_model=FieldsBody, responses=FACETS_ERRORS)
    async def facets(asked: Annotated[FacetParams, Query()], caller: Who) -> Response:
        """The fields that can be filtered on and counted; and of those named, the values and how many have them."""
        query = facets_query(asked, caller)
        fields, counted = await find.fields(caller.tenant), await find.countable(caller.tenant)
        body = FieldsBody(
            fields={name_of(field): holds for field, holds in fields.items()},
            counted=[name_of(field) for field in counted],
            facets=counts_of(await find.counts(query)),
        )
        return _answer(body)

    return routes


def time_left(request: Request) -> float:
    """The seconds that are left for the answer: a little less than what the client waits, so that it still gets one."""
    return max(0.9 * deadline_of(request).left, 0.001)


def _answer(body: BaseModel) -> Response:
    return Response(body.model_dump_json(), media_type="application/json")
