"""The routes that search: by a query, by similarity to a product, and facets."""

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
from search.parsing.query_builder import QueryBuilder, facets_query, read_request, similar_query, with_result_options
from search.policy import SearchPolicy
from search.routes.products import ProductId
from search.schemas.openapi import body_of, errors_of
from search.schemas.requests import FacetParams, SearchRequest, SimilarParams
from search.schemas.responses import FieldsBody, SearchResultBody, counts_of

SEARCH_ERRORS = errors_of(
    _400="The body is not JSON, or not a form.",
    _413="The image is too large.",
    _415="The body is neither JSON nor a form.",
    _422="The query is not valid; the message names the field.",
    _429="More is being params than can be answered, or than this key may ask; see Retry-After.",
    _503="A service does not answer in time; try again after the seconds in Retry-After.",
)
SIMILAR_ERRORS = errors_of(
    _404="No such product, or it was deleted.",
    _422="A parameter is not valid; the message names it.",
    _429="More is being params than can be answered, or than this key may ask; see Retry-After.",
    _503="A service does not answer in time; try again after the seconds in Retry-After.",
)
FACETS_ERRORS = errors_of(_422="A parameter is not valid; the message names it.", _503="The index does not answer.")
RequestCaller = Annotated[Caller, Depends(caller_of)]


def search_routes(
    search_service: SearchService, query_builder: QueryBuilder, policy: SearchPolicy, clock: Callable[[], float]
) -> APIRouter:
    """The routes. `clock` returns seconds since 1970."""
    routes = APIRouter()

    @routes.post(
        "/search",
        summary="Find products",
        response_model=SearchResultBody,
        openapi_extra={"requestBody": body_of(SearchRequest)},
        responses=SEARCH_ERRORS,
    )
    async def search(request: Request, caller: RequestCaller) -> Response:
        """The live products that match best. Give text, an image (as a URL or uploaded in a form), both, or a mix."""
        search_request, uploads = await read_request(request, SearchRequest, policy)
        deadline_of(request).shorten(search_request.timeout_ms)
        query = await query_builder.build(search_request, uploads, caller)
        query = with_result_options(query, search_request)
        result = await search_service(replace(query, within_s=time_left(request)))
        return _answer(SearchResultBody.of(result, clock()))

    # An id may contain slashes, so this route is matched before the product route.
    @routes.get(
        "/products/{product_id:path}/similar",
        summary="Similar products",
        response_model=SearchResultBody,
        responses=SIMILAR_ERRORS,
    )
    async def similar(
        request: Request, product_id: ProductId, params: Annotated[SimilarParams, Query()], caller: RequestCaller
    ) -> Response:
        """The live products most similar to a product, without itself and its variants (those of the same parent)."""
        key = query_builder.product_key(product_id, params.tenant, caller)
        deadline_of(request).shorten(params.timeout_ms)
        result = await search_service.similar(key, replace(similar_query(params, caller), within_s=time_left(request)))
        return _answer(SearchResultBody.of(result, clock()))

    @routes.get("/facets", summary="Fields and facets", response_model=FieldsBody, responses=FACETS_ERRORS)
    async def facets(params: Annotated[FacetParams, Query()], caller: RequestCaller) -> Response:
        """The fields to filter on, those that can be counted, and the values and counts of the requested fields."""
        query = facets_query(params, caller)
        fields, countable = await search_service.fields(caller.tenant), await search_service.countable(caller.tenant)
        body = FieldsBody(
            fields={name_of(field): value_type for field, value_type in fields.items()},
            counted=[name_of(field) for field in countable],
            facets=counts_of(await search_service.counts(query)),
        )
        return _answer(body)

    return routes


def time_left(request: Request) -> float:
    """The seconds left for the query: less than until the deadline, so that the answer still arrives in time."""
    return max(0.9 * deadline_of(request).time_left, 0.001)


def _answer(body: BaseModel) -> Response:
    return Response(body.model_dump_json(), media_type="application/json")
