"""The search path: from a query of text, images and products to live products."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from catalog.domain.filters import AnyOf, Condition, Not
from catalog.domain.index_query import IndexQuery
from catalog.domain.product import ProductKey
from catalog.domain.space import Space
from catalog.errors import FatalError, InvalidInput, Unavailable
from catalog.ports import FacetReader, ProductReader, QueryEncoder, Vector, VectorReader
from catalog.query.facet_counts import Counts, FacetCounter
from catalog.query.field_check import FieldChecker
from catalog.query.grouping import search_hits, value_of
from catalog.query.query import Mode, Query, QueryPart, ResolvedQuery, SearchResult
from catalog.query.query_vector import QueryVectorBuilder, product_not_found
from catalog.query.validate import QueryPolicy, effective_parts, resolve_mode, validate_query, words_of

log = logging.getLogger(__name__)

TIMEOUT_TEXT = "no answer in time: try again in a moment, or allow more"
MIN_TIMEOUT_S = 0.001  # an index accepts no deadline that has passed


class _NoVector(InvalidInput):
    """The query is valid, but the model returns no finite vector for it."""


class SearchService:
    """Encodes a query and searches the live collection. Raises InvalidInput, NotFound, ImageProblem and Unavailable.

    The result is degraded instead of failing in two cases, and says so. If the encoder fails or is late and the query
    has words, it is answered by the words alone. If facets fail, the result has no facets.
    """

    def __init__(
        self,
        *,
        product_reader: ProductReader,
        vector_reader: VectorReader,
        facet_reader: FacetReader,
        encoder: QueryEncoder,
        policy: QueryPolicy = QueryPolicy(),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`clock` gives seconds."""
        self._product_reader = product_reader
        self._space = encoder.space
        self._build_vector = QueryVectorBuilder(encoder=encoder, vector_reader=vector_reader)
        self._field_checker = FieldChecker(facet_reader=facet_reader, product_reader=product_reader)
        self._facet_counter = FacetCounter(facet_reader)
        self._policy = policy
        self._clock = clock

    @property
    def space(self) -> Space:
        """The space of the vectors that are compared."""
        return self._space

    async def __call__(self, query: Query) -> SearchResult:
        """The products that match, best first, with facets and variants if the query requests them."""
        return await self._search(query)

    async def similar(self, key: ProductKey, query: Query) -> SearchResult:
        """The products similar to a live product, without itself and its variants (products of the same parent).

        The parts of the query are ignored. Raises NotFound.
        """
        visible = query.tenant in (None, key.tenant)
        payload = await self._product_reader.get(key) if visible else None
        if payload is None:
            raise product_not_found(key)
        parent = value_of(payload, self._policy.parent)
        values = tuple(parent) if isinstance(parent, list) else () if parent is None else (parent,)
        no_variants = (Not(AnyOf(self._policy.parent, values)),) if values else ()
        return await self._search(replace(query, parts=(QueryPart(product=key),)), no_variants)

    async def resolve(
        self, query: Query, *, max_limit: int | None = None, extra_conditions: tuple[Condition, ...] = ()
    ) -> ResolvedQuery:
        """Validate and encode a query, without its groups, sorting and facets.

        `max_limit` is the maximum number of hits (None: the policy's); hits also satisfy `extra_conditions`.
        """
        start = self._clock()
        policy = self._policy
        max_limit = policy.max_limit if max_limit is None else max_limit
        validate_query(query, policy, self._space.vectors, max_limit=max_limit)
        parts = effective_parts(query.parts)
        mode, words = resolve_mode(query, parts, policy), words_of(parts)
        await self._field_checker.check(query)
        encode_start, timeout_s = self._clock(), query.within_s or policy.within_s
        vector, degraded = None, ""
        if mode is not Mode.LEXICAL:
            vector, degraded = await self._vector_or_reason(query, parts, words, timeout_s)
        if degraded:
            mode = Mode.LEXICAL
        end = self._clock()
        index_query = IndexQuery(
            vector=vector,
            words=words if mode is not Mode.DENSE else None,
            using=query.using,
            fusion=query.fusion or policy.fusion,
            pool=policy.window(query.offset + query.limit),
            limit=query.limit,
            offset=query.offset,
            conditions=query.all_conditions + extra_conditions,
            without=tuple(part.product for part in parts if part.product is not None),
            exact=query.exact,
            ef=query.ef,
            within_s=max(timeout_s - (end - start), MIN_TIMEOUT_S),
        )
        return ResolvedQuery(index_query, mode, (degraded,) if degraded else (), (end - encode_start) * 1000)

    async def vector(self, query: Query) -> Vector:
        """The vector of a query's parts: float32 (dim,), to compare with the named vectors `using`."""
        validate_query(query, self._policy, self._space.vectors, max_limit=self._policy.max_limit)
        return await self._vector(query, effective_parts(query.parts), query.within_s or self._policy.within_s)

    async def fields(self, tenant: str | None) -> Mapping[str, str]:
        """The fields of the visible products, and the type of each: keyword, number, bool, any."""
        return await self._field_checker.fields(tenant)

    async def countable(self, tenant: str | None) -> Collection[str]:
        """The fields whose values can be counted."""
        return await self._field_checker.countable(tenant)

    async def counts(self, query: Query) -> Counts:
        """Only the query's facets, over all products that satisfy its conditions. Its parts are ignored."""
        validate_query(query, self._policy, self._space.vectors, max_limit=self._policy.max_limit)
        await self._field_checker.check(query)
        return await self._facet_counter(query)

    async def _search(self, query: Query, extra_conditions: tuple[Condition, ...] = ()) -> SearchResult:
        start = self._clock()
        resolved = await self.resolve(query, extra_conditions=extra_conditions)
        search_start = self._clock()
        timeout_s = resolved.index_query.within_s or self._policy.within_s
        facets_timeout_s = timeout_s * self._policy.facets_share
        try:
            async with asyncio.timeout(timeout_s):
                groups, (facets, uncounted) = await asyncio.gather(
                    search_hits(self._product_reader, query, resolved.index_query, self._policy),
                    self._facet_counter.count_within(query, extra_conditions, facets_timeout_s),
                )
        except TimeoutError:
            raise Unavailable(TIMEOUT_TEXT) from None
        end = self._clock()
        return SearchResult(
            hits=[group[0] for group in groups],
            variants={group[0].key: group[1:] for group in groups} if query.group_by else None,
            space=self._space.id,
            mode=resolved.mode,
            degraded=resolved.degraded + uncounted,
            facets=facets,
            encode_ms=resolved.encode_ms,
            search_ms=(end - search_start) * 1000,
            total_ms=(end - start) * 1000,
        )

    async def _vector_or_reason(
        self, query: Query, parts: Sequence[QueryPart], words: str | None, timeout_s: float
    ) -> tuple[Vector | None, str]:
        """The vector of the parts. If the encoder fails and the query has words: None and the reason, a sentence."""
        if not words:
            return await self._vector(query, parts, timeout_s), ""
        encode_timeout_s = timeout_s * self._policy.encode_share
        try:
            return await self._vector(query, parts, encode_timeout_s, timeout_text="no vector in time"), ""
        except (Unavailable, FatalError, _NoVector) as failure:
            log.warning("A query is answered by its words alone: %s", failure)
            return None, f"encoder: {failure}; found by words alone"

    async def _vector(
        self, query: Query, parts: Sequence[QueryPart], timeout_s: float, *, timeout_text: str = TIMEOUT_TEXT
    ) -> Vector:
        try:
            async with asyncio.timeout(timeout_s):
                vector = await self._build_vector(parts, using=query.using, tenant=query.tenant)
        except TimeoutError:
            raise Unavailable(timeout_text) from None
        if not np.isfinite(vector).all():
            raise _NoVector("the model returns no vector for this query: ask for something else")
        return vector
