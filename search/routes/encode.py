"""POST /encode: the vector of a query, for clients that query Qdrant themselves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from catalog.query.query import Query
from catalog.query.search import SearchService
from search.auth.caller import Caller, caller_of
from search.middleware.concurrency import deadline_of
from search.parsing.query_builder import QueryBuilder, read_request
from search.policy import SearchPolicy
from search.routes.search import SEARCH_ERRORS, time_left
from search.schemas.openapi import body_of
from search.schemas.requests import PartsFields


class EncodeRequest(PartsFields):
    """The content to encode: text, an image, both, or a mix."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "sea green mug"}]})


class EncodingBody(BaseModel):
    """A query vector, and the collection and named vector to search with it."""

    vector: list[float] = Field(description="The vector, L2-normalised.", examples=[[0.6, -0.8]])
    using: str = Field(description="The named vector to compare it with.", examples=["fused"])
    collection: str = Field(
        description="The Qdrant collection of the products. The service searches it by this name, not by an alias.",
        examples=["products--builtin-small-1a2b3c4d"],
    )
    space: str = Field(description="The vector space.", examples=["builtin-small-1a2b3c4d"])


def encode_routes(
    search_service: SearchService, query_builder: QueryBuilder, policy: SearchPolicy, *, collection: str
) -> APIRouter:
    """The route POST /encode. `collection` is the Qdrant collection of the products."""
    routes = APIRouter()

    @routes.post(
        "/encode",
        summary="The vector of a query",
        response_model=EncodingBody,
        openapi_extra={"requestBody": body_of(EncodeRequest)},
        responses=SEARCH_ERRORS,
    )
    async def encode(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> Response:
        """The vector that a search compares with the products, for a search through Qdrant's own API."""
        encode_request, uploads = await read_request(request, EncodeRequest, policy)
        deadline_of(request).shorten(encode_request.timeout_ms)
        parts = await query_builder.build_parts(encode_request, uploads, caller)
        query = Query(parts=parts, using=encode_request.using, tenant=caller.tenant, within_s=time_left(request))
        vector = await search_service.vector(query)
        body = EncodingBody(
            vector=vector.tolist(), using=encode_request.using, collection=collection, space=search_service.space.id
        )
        return Response(body.model_dump_json(), media_type="application/json")

    return routes
