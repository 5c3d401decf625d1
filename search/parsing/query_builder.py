"""Validated fields to the query they mean: images fetched, names resolved, the caller's limits in place."""

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
from search.errors import ApiError, invalid
from search.media import HEAVY, WEB, scheme
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


async def read(request: Request, model: type[Fields], policy: SearchPolicy) -> tuple[Fields, list[bytes]]:
    """What a request asks for, and the images uploaded with it. Raises ApiError and ImageProblem."""
    fields, uploads = await read_body(request, policy, model.model_fields)
    try:
        return model.model_validate(fields), uploads
    except ValidationError as error:
        problem = invalid(error, model)
        raise ApiError(422, problem.type, problem.message, field=problem.field) from None


class QueryBuilder:
    """Makes queries of what is asked, for the one who asks."""

    def __init__(self, images: ImageSource, policy: SearchPolicy) -> None:
        self._images = images
        self._policy = policy

    async def query(self, asked: QueryFields, uploads: Sequence[bytes], caller: Caller) -> Query:
        """The query, without how its hits come and when.

        Raises ApiError, InvalidInput, and ImageProblem for an image that cannot be had.
        """
        conditions = conditions_of(asked.filter or {})
        return Query(
            parts=await self.parts(asked, uploads, caller),
            mode=None if asked.mode is None else Mode(asked.mode),
            fusion=None if asked.fusion is None else _fusion(asked.fusion),
            using=asked.using,
            exact=asked.exact,
            ef=asked.ef,
            conditions=conditions,
            tenant=caller.tenant,
        )

    async def parts(self, asked: PartsFields, uploads: Sequence[bytes], caller: Caller) -> tuple[QueryPart, ...]:
        """What is looked for alone. Raises as `query` does."""
        wanted = self._parts(asked, uploads, caller)
        return tuple(await asyncio.gather(*(self._fetched(part, url) for part, url in wanted)))

    def key(self, product: str, tenant: str | None, caller: Caller) -> ProductKey:
        """Which product is meant: where no tenant is named, the caller's own, or the default's."""
        return ProductKey(tenant or caller.tenant or self._policy.tenant, product)

    def _parts(
        self, asked: PartsFields, uploads: Sequence[bytes], caller: Caller
    ) -> list[tuple[QueryPart, str | None]]:
        """The parts, each with the URL of an image that is still to be fetched."""
        mix = asked.mix or []
        used = [part.upload for part in mix if part.upload is not None]
        found = [(self._part(part, uploads, caller), part.image_url) for part in mix]
        if asked.mix is not None and uploads:
            if idle := set(range(len(uploads))) - set(used):
                raise InvalidInput(
                    f"mix: the uploaded image {min(idle)} is in no part: name it by its number in upload"
                )
            uploads = ()
        if asked.image_url is not None and uploads:
            raise InvalidInput("image_url: give either an address or an uploaded image, or name both in mix")
        if len(uploads) > 1:
            alone = [(QueryPart(image=image), None) for image in uploads]
            return [*found, *alone, *([(QueryPart(text=asked.text), None)] if asked.text else [])]
        image = uploads[0] if uploads else None
        if asked.text is not None or image is not None or asked.image_url is not None:
            found.append((QueryPart(asked.text, image), asked.image_url))
        return found

    def _part(self, part: MixPart, uploads: Sequence[bytes], caller: Caller) -> QueryPart:
        if part.upload is not None and part.upload >= len(uploads):
            raise InvalidInput(
                f"mix: there is no uploaded image {part.upload}; there are {len(uploads)}, counted from 0"
            )
        image = None if part.upload is None else uploads[part.upload]
        product = None if part.product is None else self.key(part.product, part.tenant, caller)
        return QueryPart(part.text, image, product, part.weight)

    async def _fetched(self, part: QueryPart, url: str | None) -> QueryPart:
        if url is None:
            return part
        if scheme(url) not in (*WEB, HEAVY):
            raise ImageProblem(ImageState.BLOCKED, "image_url: only http, https and data URLs are fetched for a query")
        return QueryPart(part.text, await self._images.fetch(url), part.product, part.weight)


def with_result_options(query: Query, asked: SearchRequest) -> Query:
    """The query, with how its hits are to come."""
    return replace(
        query,
        facets=tuple(FacetRequest(path(facet.field), facet.limit) for facet in asked.facets or ()),
        **_shape(asked),
    )


def similar_query(asked: SimilarParams, caller: Caller) -> Query:
    """The query of the products like one: all but that one."""
    return Query(
        using=asked.using,
        exact=asked.exact,
        ef=asked.ef,
        conditions=conditions_of(json_object(asked.filter, "filter") if asked.filter else {}),
        tenant=caller.tenant,
        facets=tuple(FacetRequest(path(field)) for field in asked.facets),
        **_shape(asked),
    )


def facets_query(asked: FacetParams, caller: Caller) -> Query:
    """The query of counts alone."""
    return Query(
        conditions=conditions_of(json_object(asked.filter, "filter") if asked.filter else {}),
        tenant=caller.tenant,
        facets=tuple(FacetRequest(path(field), asked.limit) for field in asked.field),
    )


def _shape(asked: SearchRequest | SimilarParams) -> dict[str, Any]:
    return {
        "group_by": None if asked.group_by is None else path(asked.group_by),
        "group_size": asked.group_size,
        "sort": None if asked.sort is None else Sort(asked.sort),
        "limit": asked.limit,
        "offset": asked.offset,
    }


def conditions_of(spec: Mapping[str, Any]) -> tuple[Condition, ...]:
    """The conditions of a filter that is no larger than a query may have. Raises ApiError and InvalidInput."""
    if len(spec) > _MAX_CONDITIONS:
        raise ApiError(422, "invalid", f"filter: {len(spec)} fields are more than {_MAX_CONDITIONS}", field="filter")
    for name, value in spec.items():
        if not name:
            raise ApiError(422, "invalid", "filter: a field has no name", field="filter")
        inner = value.get("not") if isinstance(value, dict) else value
        if isinstance(inner, list) and len(inner) > _MAX_VALUES:
            raise ApiError(422, "invalid", f"filter: {name!r} has more than {_MAX_VALUES} values", field="filter")
    return parse_filter(spec)


def _fusion(asked: FusionBody) -> Fusion:
    if asked.rrf is not None:
        return ReciprocalRankFusion(asked.rrf.k, asked.rrf.dense, asked.rrf.lexical)
    return WeightedFusion(asked.weighted.dense if asked.weighted else WeightedFusion().dense)
