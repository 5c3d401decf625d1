"""POST /encode: the vector of a query, for those who ask Qdrant themselves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from catalog.query.query import Query
from catalog.query.search import SearchService
from search.auth.caller import Caller, caller_of
from search.middleware.concurrency import deadline_of
from search.parsing.query_builder import QueryBuilder, read
from search.policy import SearchPolicy
from search.routes.search import SEARCH_ERRORS, time_left
from search.schemas.openapi import body_of
from search.schemas.requests import PartsFields


class EncodeRequest(PartsFields):
    """What is to be a vector: text, an image, both, or a mix of several."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "sea green mug"}]})


class EncodingBody(BaseModel):
    """A vector, and what to compare it with."""

    vector: list[float] = Field(description="Of length 1.", examples=[[0.6, -0.8]])
    using: str = Field(description="The name of the vectors it is to be compared with.", examples=["fused"])
    collection: str = Field(
        description="The collection in Qdrant that has them. The service asks this one, whatever an alias says.",
        examples=["products--builtin-small-1a2b3c4d"],
    )
    space: str = Field(description="The vector space.", examples=["builtin-small-1a2b3c4d"])


def encode_routes(find: SearchService, asker: QueryBuilder, policy: SearchPolicy, *, collection: str) -> APIRouter:
    """The route. `collection` is what the vectors of queries are compared with."""
    routes = APIRouter()

    @routes.post(
        "/encode",
        summary="The vector of a query",
        response_model=EncodingBody,
        openapi_extra={"requestBody": body_of(EncodeRequest)},
        responses=SEARCH_ERRORS,
    )
    async def encode(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> Response:
        """The vector that a search would compare with those of the products, to search the collection through Qdrant's
        own interface."""
        asked, uploads = await read(request, EncodeRequest, policy)
        deadline_of(request).shorten(asked.timeout_ms)
        parts = await asker.parts(asked, uploads, caller)
        query = Query(parts=parts, using=asked.using, tenant=caller.tenant, within_s=time_left(request))
        vector = await find.vector(query)
        body = EncodingBody(vector=vector.tolist(), using=asked.using, collection=collection, space=find.space.id)
        return Response(body.model_dump_json(), media_type="application/json")

    return routes
