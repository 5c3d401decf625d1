"""Builds queries from validated request fields: fetches images, resolves names, applies the caller's limits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError

from catalog.domain.filters import Condition, parse_filter, path
from catalog.domain.image_state import ImageState
from catalog.domain.index_query import Fusion, ReciprocalRankFusion, WeightedFusion
from catalog.domain.product import ProductKey
from catalog.errors import ImageProblem, InvalidInput
from catalog.ports import ImageSource
from catalog.query.query import FacetRequest, Mode, Query, QueryPart, Sort
from search.auth.caller import Caller
from search.errors import ApiError, problem_of
from search.media import INLINE, WEB, scheme
from search.parsing.body import json_object, read_body
from search.policy import SearchPolicy
from search.schemas.requests import (
    FacetParams,
    FusionBody,
    MixPart,
    PartsFields,
    QueryFields,
    SearchRequest,
    SimilarParams,
)

Fields = TypeVar("Fields", bound=PartsFields)

_MAX_CONDITIONS, _MAX_VALUES = 32, 256


async def read_request(request: Request, model: type[Fields], policy: SearchPolicy) -> tuple[Fields, list[bytes]]:
    """The validated fields of a request and its uploaded images. Raises ApiError and ImageProblem."""
    fields, uploads = await read_body(request, policy, model.model_fields)
    try:
        return model.model_validate(fields), uploads
    except ValidationError as error:
        problem = problem_of(error, model)
        raise ApiError(422, problem.type, problem.message, field=problem.field) from None


class QueryBuilder:
    """Builds a query from validated request fields, restricted to the caller's tenant."""

    def __init__(self, images: ImageSource, policy: SearchPolicy) -> None:
        self._images = images
        self._policy = policy

    async def build(self, request: QueryFields, uploads: Sequence[bytes], caller: Caller) -> Query:
        """The query, without result options and time limit.

        Raises ApiError, InvalidInput, and ImageProblem if an image cannot be fetched.
        """
        conditions = conditions_of(request.filter or {})
        return Query(
            parts=await self.build_parts(request, uploads, caller),
            mode=None if request.mode is None else Mode(request.mode),
            fusion=None if request.fusion is None else _fusion(request.fusion),
            using=request.using,
            exact=request.exact,
            ef=request.ef,
            conditions=conditions,
            tenant=caller.tenant,
        )

    async def build_parts(
        self, request: PartsFields, uploads: Sequence[bytes], caller: Caller
    ) -> tuple[QueryPart, ...]:
        """The parts of the query: texts, images and products. Raises the errors of `build`."""
        unfetched = self._unfetched_parts(request, uploads, caller)
        return tuple(await asyncio.gather(*(self._with_image(part, url) for part, url in unfetched)))

    def product_key(self, product: str, tenant: str | None, caller: Caller) -> ProductKey:
        """The key of a product. Without `tenant` it is the caller's tenant, or else the default tenant."""
        return ProductKey(tenant or caller.tenant or self._policy.tenant, product)

    def _unfetched_parts(
        self, request: PartsFields, uploads: Sequence[bytes], caller: Caller
    ) -> list[tuple[QueryPart, str | None]]:
        """The parts, each with the URL of its image if that has to be fetched."""
        mix = request.mix or []
        used = [part.upload for part in mix if part.upload is not None]
        parts = [(self._part(part, uploads, caller), part.image_url) for part in mix]
        if request.mix is not None and uploads:
            if unused := set(range(len(uploads))) - set(used):
                raise InvalidInput(
                    f"mix: no part uses the uploaded image {min(unused)}: set `upload` of a part to this number"
                )
            uploads = ()
        if request.image_url is not None and uploads:
            raise InvalidInput("image_url: give either a URL or an uploaded image, or use both as parts of mix")
        if len(uploads) > 1:
            uploaded = [(QueryPart(image=image), None) for image in uploads]
            return [*parts, *uploaded, *([(QueryPart(text=request.text), None)] if request.text else [])]
        image = uploads[0] if uploads else None
        if request.text is not None or image is not None or request.image_url is not None:
            parts.append((QueryPart(request.text, image), request.image_url))
        return parts

    def _part(self, part: MixPart, uploads: Sequence[bytes], caller: Caller) -> QueryPart:
        if part.upload is not None and part.upload >= len(uploads):
            raise InvalidInput(
                f"mix: there is no uploaded image {part.upload}; there are {len(uploads)}, counted from 0"
            )
        image = None if part.upload is None else uploads[part.upload]
        product = None if part.product is None else self.product_key(part.product, part.tenant, caller)
        return QueryPart(part.text, image, product, part.weight)

    async def _with_image(self, part: QueryPart, url: str | None) -> QueryPart:
        if url is None:
            return part
        if scheme(url) not in (*WEB, INLINE):
            raise ImageProblem(ImageState.BLOCKED, "image_url: only http, https and data URLs are fetched for a query")
        return QueryPart(part.text, await self._images.fetch(url), part.product, part.weight)


def with_result_options(query: Query, request: SearchRequest) -> Query:
    """The query with the result options of a request: facets, groups, order and page."""
    return replace(
        query,
        facets=tuple(FacetRequest(path(facet.field), facet.limit) for facet in request.facets or ()),
        **_result_options(request),
    )


def similar_query(request: SimilarParams, caller: Caller) -> Query:
    """The filter and result options of a search for similar products."""
    return Query(
        using=request.using,
        exact=request.exact,
        ef=request.ef,
        conditions=conditions_of(json_object(request.filter, "filter") if request.filter else {}),
        tenant=caller.tenant,
        facets=tuple(FacetRequest(path(field)) for field in request.facets),
        **_result_options(request),
    )


def facets_query(request: FacetParams, caller: Caller) -> Query:
    """A query that only counts facets."""
    return Query(
        conditions=conditions_of(json_object(request.filter, "filter") if request.filter else {}),
        tenant=caller.tenant,
        facets=tuple(FacetRequest(path(field), request.limit) for field in request.field),
    )


def _result_options(request: SearchRequest | SimilarParams) -> dict[str, Any]:
    return {
        "group_by": None if request.group_by is None else path(request.group_by),
        "group_size": request.group_size,
        "sort": None if request.sort is None else Sort(request.sort),
        "limit": request.limit,
        "offset": request.offset,
    }


def conditions_of(spec: Mapping[str, Any]) -> tuple[Condition, ...]:
    """The conditions of a filter. Raises ApiError if it is too large, and InvalidInput if it is not valid."""
    if len(spec) > _MAX_CONDITIONS:
        raise ApiError(422, "invalid", f"filter: {len(spec)} fields are more than {_MAX_CONDITIONS}", field="filter")
    for name, value in spec.items():
        if not name:
            raise ApiError(422, "invalid", "filter: a field has no name", field="filter")
        inner = value.get("not") if isinstance(value, dict) else value
        if isinstance(inner, list) and len(inner) > _MAX_VALUES:
            raise ApiError(422, "invalid", f"filter: {name!r} has more than {_MAX_VALUES} values", field="filter")
    return parse_filter(spec)


def _fusion(request: FusionBody) -> Fusion:
    if request.rrf is not None:
        return ReciprocalRankFusion(request.rrf.k, request.rrf.dense, request.rrf.lexical)
    return WeightedFusion(request.weighted.dense if request.weighted else WeightedFusion().dense)
