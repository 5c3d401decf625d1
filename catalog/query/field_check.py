"""Checks that the fields of a query exist and have the type that the query expects."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from catalog.domain.filters import OWN_FIELDS, AnyOf, Condition, Exists, Not, Range, field_of, name_of
from catalog.domain.json_text import json_excerpt, json_type
from catalog.errors import InvalidInput, Unavailable
from catalog.ports import FacetReader, ProductReader
from catalog.query.query import Query, tenant_conditions

TYPE_NAMES = {"keyword": "text", "number": "numbers", "bool": "true or false", "any": "anything"}
MAX_LISTED = 20


class FieldChecker:
    """The fields that a caller can filter on, count and group by.

    A filter may also use an attribute that is not listed, if any product that the caller may see has it.
    """

    def __init__(self, *, facet_reader: FacetReader, product_reader: ProductReader) -> None:
        self._facet_reader = facet_reader
        self._product_reader = product_reader

    async def fields(self, tenant: str | None) -> Mapping[str, str]:
        """The fields of the visible products, and the type of each. Raises Unavailable."""
        return await self._facet_reader.fields(tenant_conditions(tenant))

    async def countable(self, tenant: str | None) -> Collection[str]:
        """The fields whose values can be counted, in the order of `fields`. Raises Unavailable."""
        fields, countable = await self.fields(tenant), await self._facet_reader.countable()
        return [field for field in fields if field in countable]

    async def check(self, query: Query) -> None:
        """Raises InvalidInput, which lists the fields, if no product has a field or the field has another type."""
        if not (query.conditions or query.facets or query.group_by):
            return
        try:
            fields = await self.fields(query.tenant)
        except Unavailable:
            return  # the search itself reports the outage, or degrades
        for facet in query.facets:
            if facet.field not in fields:
                raise InvalidInput(f"facets: {name_of(facet.field)!r} is not counted; {_listing(fields)}")
        for condition in query.conditions:
            await self._check_exists("filter", field_of(condition), fields, query)
            await self._check_type(condition, fields, query)
        if query.group_by:
            await self._check_exists("group_by", query.group_by, fields, query)

    async def _check_exists(self, parameter: str, field: str, fields: Mapping[str, str], query: Query) -> None:
        if field not in fields and not await self._any_product(Exists(field), query):
            raise InvalidInput(f"{parameter}: no product has {name_of(field)!r}; {_listing(fields)}")

    async def _check_type(self, condition: Condition, fields: Mapping[str, str], query: Query) -> None:
        """The type of an attribute comes from a sample: another type is accepted if any product has it."""
        inner = condition.of if isinstance(condition, Not) else condition
        field_type = fields.get(inner.field, "any")
        mismatch = _type_mismatch(inner, field_type)
        if mismatch is not None and (inner.field in OWN_FIELDS or not await self._any_product(mismatch, query)):
            raise InvalidInput(
                f"filter: {name_of(inner.field)!r} holds {TYPE_NAMES[field_type]}, {_mismatch_text(mismatch)}"
            )

    async def _any_product(self, condition: Condition, query: Query) -> bool:
        return bool(await self._product_reader.count((condition, *tenant_conditions(query.tenant))))


def _listing(fields: Mapping[str, str]) -> str:
    names = [f"{name_of(field)} ({TYPE_NAMES.get(type_, type_)})" for field, type_ in sorted(fields.items())]
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"there are {', '.join(names[:MAX_LISTED])}{more}"


def _type_mismatch(condition: AnyOf | Range | Exists, field_type: str) -> AnyOf | Range | None:
    """The part of a condition that a field of this type never satisfies."""
    if isinstance(condition, Exists) or field_type == "any":
        return None
    if isinstance(condition, Range):
        return None if field_type == "number" else condition
    types: dict[str, tuple[type, ...]] = {"keyword": (str,), "bool": (bool,), "number": (int, float)}
    allowed, is_bool = types[field_type], field_type == "bool"
    values = [v for v in condition.values if not isinstance(v, allowed) or isinstance(v, bool) != is_bool]
    return AnyOf(condition.field, tuple(values)) if values else None


def _mismatch_text(mismatch: AnyOf | Range) -> str:
    if isinstance(mismatch, Range):
        return "so it has no range"
    value = mismatch.values[0]
    return f"and {json_excerpt(value)} is {'text' if isinstance(value, str) else json_type(value)}"
