"""How many products have each value of a field."""

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
    """Facets of all live products that satisfy a query's conditions, whatever else it looks for."""

    def __init__(self, facets: FacetReader) -> None:
        self._facets = facets

    async def __call__(self, query: Query) -> Counts:
        """Values and how many products have them, most frequent first, by payload field. Raises Unavailable."""
        found = await asyncio.gather(*(self._count(count, query.all_conditions) for count in query.facets))
        return dict(zip((count.field for count in query.facets), found, strict=True))

    async def as_far_as_it_goes(
        self, query: Query, also: tuple[Condition, ...], within: float
    ) -> tuple[Counts, tuple[str, ...]]:
        """What can be counted within so many seconds; and of what cannot, why, a sentence each."""
        conditions = query.all_conditions + also
        found = await asyncio.gather(*(self._tried(count, conditions, within) for count in query.facets))
        counted = {
            count.field: values for count, (values, _) in zip(query.facets, found, strict=True) if values is not None
        }
        return counted, tuple(why for _, why in found if why)

    async def _count(self, count: FacetRequest, conditions: Sequence[Condition]) -> Values:
        return await self._facets.facet(count.field, conditions, limit=count.limit)

    async def _tried(
        self, count: FacetRequest, conditions: Sequence[Condition], within: float
    ) -> tuple[Values | None, str]:
        try:
            async with asyncio.timeout(within):
                return await self._count(count, conditions), ""
        except TimeoutError:
            return None, f"facets: {name_of(count.field)!r} was not counted within {within:.3g} s"
        except Unavailable as error:
            return None, f"facets: {name_of(count.field)!r} was not counted: {error}"
