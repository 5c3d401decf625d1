"""The query path: words, pictures and products in, live products out."""

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
from catalog.query.query_vector import QueryVectorBuilder, none_of
from catalog.query.validate import QueryPolicy, effective_parts, resolve_mode, validate_query, words_of

log = logging.getLogger(__name__)

LATE = "no answer in time: try again in a moment, or allow more"
LEAST_S = 0.001  # an index takes no deadline that is over already


class _NoVector(InvalidInput):
    """What was asked for is in order, and the model gives no number for it."""


class SearchService:
    """Encode the query, search the live collection. Raises InvalidInput, NotThere, ImageProblem and Unavailable.

    Where the encoder fails or is late and the query has words, they alone are looked for; where facets fail there are
    hits without. The answer says so.
    """

    def __init__(
        self,
        *,
        shelf: ProductReader,
        encoder: QueryEncoder,
        looks: VectorReader,
        facets: FacetReader,
        policy: QueryPolicy = QueryPolicy(),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`clock` gives seconds."""
        self._shelf = shelf
        self._space = encoder.space
        self._mix = QueryVectorBuilder(encoder=encoder, looks=looks)
        self._fields = FieldChecker(facets=facets, shelf=shelf)
        self._counting = FacetCounter(facets)
        self._policy = policy
        self._clock = clock

    @property
    def space(self) -> Space:
        """The space of the vectors that are compared."""
        return self._space

    async def __call__(self, query: Query) -> SearchResult:
        """The products that answer, best first, with all that the query wants to know of them."""
        return await self._found(query)

    async def similar(self, key: ProductKey, query: Query) -> SearchResult:
        """The products like one that is there, less itself and its variants: those of the same parent.

        The query says all but its parts. Raises NotThere.
        """
        payload = await self._shelf.get(key) if query.tenant in (None, key.tenant) else None
        if payload is None:
            raise none_of(key)
        parent = value_of(payload, self._policy.parent)
        values = tuple(parent) if isinstance(parent, list) else () if parent is None else (parent,)
        variants = (Not(AnyOf(self._policy.parent, values)),) if values else ()
        return await self._found(replace(query, parts=(QueryPart(product=key),)), variants)

    async def ask(self, query: Query, *, most: int | None = None, also: tuple[Condition, ...] = ()) -> ResolvedQuery:
        """What to ask of the index. `most` is how many hits may be asked for, `also` what more they are to satisfy.

        Groups, sorting and facets are no part of it.
        """
        start = self._clock()
        policy = self._policy
        validate_query(query, policy, self._space.vectors, most=policy.max_limit if most is None else most)
        parts = effective_parts(query.parts)
        mode, words = resolve_mode(query, parts, policy), words_of(parts)
        await self._fields.check(query)
        begun, within, vector, degraded = self._clock(), query.within_s or policy.within_s, None, ""
        if mode is not Mode.LEXICAL:
            vector, degraded = await self._encoded(query, parts, words, within)
        if degraded:
            mode = Mode.LEXICAL
        done = self._clock()
        ask = IndexQuery(
            vector=vector,
            words=words if mode is not Mode.DENSE else None,
            using=query.using,
            fusion=query.fusion or policy.fusion,
            pool=policy.window(query.offset + query.limit),
            limit=query.limit,
            offset=query.offset,
            conditions=query.all_conditions + also,
            without=tuple(part.product for part in parts if part.product is not None),
            exact=query.exact,
            ef=query.ef,
            within_s=max(within - (done - start), LEAST_S),
        )
        return ResolvedQuery(ask, mode, (degraded,) if degraded else (), (done - begun) * 1000)

    async def vector(self, query: Query) -> Vector:
        """What the parts of a query look like to the model: float32 (dim,) to search the vectors `using` with."""
        validate_query(query, self._policy, self._space.vectors, most=self._policy.max_limit)
        return await self._vector(query, effective_parts(query.parts), query.within_s or self._policy.within_s)

    async def fields(self, tenant: str | None) -> Mapping[str, str]:
        """The fields of the products that are seen, and what each holds: keyword, number, bool, any."""
        return await self._fields.known(tenant)

    async def counted(self, tenant: str | None) -> Collection[str]:
        """Those of the fields whose values can be counted."""
        return await self._fields.counted(tenant)

    async def counts(self, query: Query) -> Counts:
        """The query's facets alone, of all products that satisfy its conditions. Its parts are not looked at."""
        validate_query(query, self._policy, self._space.vectors, most=self._policy.max_limit)
        await self._fields.check(query)
        return await self._counting(query)

    async def _found(self, query: Query, also: tuple[Condition, ...] = ()) -> SearchResult:
        start = self._clock()
        asked = await self.ask(query, also=also)
        begun = self._clock()
        within = asked.ask.within_s or self._policy.within_s
        try:
            async with asyncio.timeout(within):
                groups, (facets, uncounted) = await asyncio.gather(
                    search_hits(self._shelf, query, asked.ask, self._policy),
                    self._counting.as_far_as_it_goes(query, also, within * self._policy.facets_share),
                )
        except TimeoutError:
            raise Unavailable(LATE) from None
        done = self._clock()
        return SearchResult(
            hits=[group[0] for group in groups],
            variants={group[0].key: group[1:] for group in groups} if query.group_by else None,
            space=self._space.id,
            mode=asked.mode,
            degraded=asked.degraded + uncounted,
            facets=facets,
            encode_ms=asked.encode_ms,
            search_ms=(done - begun) * 1000,
            total_ms=(done - start) * 1000,
        )

    async def _encoded(
        self, query: Query, parts: Sequence[QueryPart], words: str | None, within: float
    ) -> tuple[Vector | None, str]:
        """The vector of the parts. Where there is none and there are words, the reason, as a sentence."""
        if not words:
            return await self._vector(query, parts, within), ""
        try:
            return await self._vector(query, parts, within * self._policy.encode_share, late="no vector in time"), ""
        except (Unavailable, FatalError, _NoVector) as failure:
            log.warning("A query is answered by its words alone: %s", failure)
            return None, f"encoder: {failure}; found by words alone"

    async def _vector(self, query: Query, parts: Sequence[QueryPart], within: float, *, late: str = LATE) -> Vector:
        try:
            async with asyncio.timeout(within):
                vector = await self._mix(parts, using=query.using, tenant=query.tenant)
        except TimeoutError:
            raise Unavailable(late) from None
        if not np.isfinite(vector).all():
            raise _NoVector("the model makes nothing of this query: ask for something else")
        return vector
