"""Whether the fields that a query names are there, and hold what it looks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from catalog.errors import Misuse, Unavailable
from catalog.filters import AnyOf, Condition, Exists, Not, Range, field_of, name_of
from catalog.ports import Facets, Shelf
from catalog.product import Scalar
from catalog.query import Query
from catalog.wording import kind, show

HOLDS = {"keyword": "text", "number": "numbers", "bool": "true or false", "any": "anything"}


class Fields:
    """What can be filtered on, counted and grouped by.

    An attribute that the index has no record of may be filtered on all the same, where any product that the asker sees
    has it.
    """

    def __init__(self, *, facets: Facets, shelf: Shelf) -> None:
        self._facets = facets
        self._shelf = shelf

    async def known(self, tenant: str | None) -> Mapping[str, str]:
        """The fields the index has a record of, and what each holds for a tenant. Raises Unavailable."""
        return await self._facets.fields(_seen(tenant))

    async def check(self, query: Query) -> None:
        """Raises Misuse for a field that no product has, or that holds something else, with the fields there are."""
        grouped = [query.group_by] if query.group_by else []
        if not (query.conditions or query.facets or grouped):
            return
        try:
            known = await self.known(query.tenant)
        except Unavailable:
            return  # the search will say so, or answer without what depends on it
        for count in query.facets:
            if count.field not in known:
                raise Misuse(f"facets: {name_of(count.field)!r} is not counted; {_listed(known)}")
        for condition in query.conditions:
            await self._exists("filter", field_of(condition), known, query)
            _check_type(condition, known.get(field_of(condition), "any"))
        for field in grouped:
            await self._exists("group_by", field, known, query)

    async def _exists(self, what: str, field: str, known: Mapping[str, str], query: Query) -> None:
        if field in known:
            return
        if not await self._shelf.count((Exists(field), *_seen(query.tenant))):
            raise Misuse(f"{what}: no product has {name_of(field)!r}; {_listed(known)}")


def _seen(tenant: str | None) -> tuple[Condition, ...]:
    return () if tenant is None else (AnyOf("tenant", (tenant,)),)


def _listed(known: Mapping[str, str]) -> str:
    named = ", ".join(f"{name_of(field)} ({HOLDS.get(holds, holds)})" for field, holds in sorted(known.items()))
    return f"there are {named}"


def _check_type(condition: Condition, holds: str) -> None:
    inner = condition.of if isinstance(condition, Not) else condition
    if isinstance(inner, Exists) or holds == "any":
        return
    name = name_of(inner.field)
    if isinstance(inner, Range):
        if holds != "number":
            raise Misuse(f"filter: {name!r} holds {HOLDS[holds]}, so it has no range")
        return
    if odd := _odd(inner.values, holds):
        raise Misuse(f"filter: {name!r} holds {HOLDS[holds]}, and {show(odd[0])} is {_said(odd[0])}")


def _odd(values: Sequence[Scalar], holds: str) -> list[Scalar]:
    """The values that a field of this kind cannot hold."""
    types: dict[str, tuple[type, ...]] = {"keyword": (str,), "bool": (bool,), "number": (int, float)}
    return [v for v in values if not isinstance(v, types[holds]) or (isinstance(v, bool) and holds != "bool")]


def _said(value: Scalar) -> str:
    return "text" if isinstance(value, str) else kind(value)
