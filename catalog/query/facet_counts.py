"""Facets: the number of products for each value of a field."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from catalog.domain.filters import Condition, name_of
from catalog.domain.product import Scalar
from catalog.errors import Unavailable
from catalog.ports import FacetReader
from catalog.query.query import FacetRequest, Query

Values = Sequence[tuple[Scalar, int]]
Counts = Mapping[str, Values]


class FacetCounter:
    """Counts facets over all live products that satisfy a query's conditions, whatever its parts."""

    def __init__(self, facet_reader: FacetReader) -> None:
        self._facet_reader = facet_reader

    async def __call__(self, query: Query) -> Counts:
        """Values and their numbers of products, most frequent first, by payload field. Raises Unavailable."""
        counts = await asyncio.gather(*(self._count(facet, query.all_conditions) for facet in query.facets))
        return dict(zip((facet.field for facet in query.facets), counts, strict=True))

    async def count_within(
        self, query: Query, extra_conditions: tuple[Condition, ...], timeout_s: float
    ) -> tuple[Counts, tuple[str, ...]]:
        """The facets that can be counted within `timeout_s` seconds, and one sentence for each that cannot."""
        conditions = query.all_conditions + extra_conditions
        results = await asyncio.gather(*(self._try_count(facet, conditions, timeout_s) for facet in query.facets))
        counts = {
            facet.field: values for facet, (values, _) in zip(query.facets, results, strict=True) if values is not None
        }
        return counts, tuple(reason for _, reason in results if reason)

    async def _count(self, facet: FacetRequest, conditions: Sequence[Condition]) -> Values:
        return await self._facet_reader.facet(facet.field, conditions, limit=facet.limit)

    async def _try_count(
        self, facet: FacetRequest, conditions: Sequence[Condition], timeout_s: float
    ) -> tuple[Values | None, str]:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._count(facet, conditions), ""
        except TimeoutError:
            return None, f"facets: {name_of(facet.field)!r} was not counted within {timeout_s:.3g} s"
        except Unavailable as error:
            return None, f"facets: {name_of(facet.field)!r} was not counted: {error}"
