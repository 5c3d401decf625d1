"""Whether the fields that a query names are there, and hold what it looks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from catalog.domain.filters import OWN_FIELDS, AnyOf, Condition, Exists, Not, Range, field_of, name_of
from catalog.domain.json_text import kind, show
from catalog.errors import InvalidInput, Unavailable
from catalog.ports import FacetReader, ProductReader
from catalog.query.query import Query, only

HOLDS = {"keyword": "text", "number": "numbers", "bool": "true or false", "any": "anything"}
MOST_NAMED = 20


class FieldChecker:
    """What can be filtered on, counted and grouped by.

    An attribute that the index has no record of may be filtered on all the same, where any product that the asker sees
    has it.
    """

    def __init__(self, *, facets: FacetReader, shelf: ProductReader) -> None:
        self._facets = facets
        self._shelf = shelf

    async def known(self, tenant: str | None) -> Mapping[str, str]:
        """The fields of the products that are seen, and what each holds. Raises Unavailable."""
        return await self._facets.fields(only(tenant))

    async def counted(self, tenant: str | None) -> Collection[str]:
        """Those of them whose values can be counted, in their order. Raises Unavailable."""
        known, counted = await self.known(tenant), await self._facets.counted()
        return [field for field in known if field in counted]

    async def check(self, query: Query) -> None:
        """Raises InvalidInput, which lists the fields, for a field that no product has or that holds something else."""
        if not (query.conditions or query.facets or query.group_by):
            return
        try:
            known = await self.known(query.tenant)
        except Unavailable:
            return  # the search will say so, or answer without what depends on it
        for count in query.facets:
            if count.field not in known:
                raise InvalidInput(f"facets: {name_of(count.field)!r} is not counted; {_listed(known)}")
        for condition in query.conditions:
            await self._check_there("filter", field_of(condition), known, query)
            await self._check_type(condition, known, query)
        if query.group_by:
            await self._check_there("group_by", query.group_by, known, query)

    async def _check_there(self, what: str, field: str, known: Mapping[str, str], query: Query) -> None:
        if field not in known and not await self._any(Exists(field), query):
            raise InvalidInput(f"{what}: no product has {name_of(field)!r}; {_listed(known)}")

    async def _check_type(self, condition: Condition, known: Mapping[str, str], query: Query) -> None:
        """What an attribute holds is told by some products: another type is taken where any product has it."""
        inner = condition.of if isinstance(condition, Not) else condition
        holds = known.get(inner.field, "any")
        odd = _odd(inner, holds)
        if odd is not None and (inner.field in OWN_FIELDS or not await self._any(odd, query)):
            raise InvalidInput(f"filter: {name_of(inner.field)!r} holds {HOLDS[holds]}, {_said(odd)}")

    async def _any(self, condition: Condition, query: Query) -> bool:
        return bool(await self._shelf.count((condition, *only(query.tenant))))


def _listed(known: Mapping[str, str]) -> str:
    named = [f"{name_of(field)} ({HOLDS.get(holds, holds)})" for field, holds in sorted(known.items())]
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return f"there are {', '.join(named[:MOST_NAMED])}{more}"


def _odd(condition: AnyOf | Range | Exists, holds: str) -> AnyOf | Range | None:
    """What a condition looks for that a field of this kind does not hold."""
    if isinstance(condition, Exists) or holds == "any":
        return None
    if isinstance(condition, Range):
        return None if holds == "number" else condition
    types: dict[str, tuple[type, ...]] = {"keyword": (str,), "bool": (bool,), "number": (int, float)}
    values = [
        v for v in condition.values if not isinstance(v, types[holds]) or (isinstance(v, bool) != (holds == "bool"))
    ]
    return AnyOf(condition.field, tuple(values)) if values else None


def _said(odd: AnyOf | Range) -> str:
    if isinstance(odd, Range):
        return "so it has no range"
    value = odd.values[0]
    return f"and {show(value)} is {'text' if isinstance(value, str) else kind(value)}"
