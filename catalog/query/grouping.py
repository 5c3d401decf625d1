"""The best products of each group, and the best by price."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from catalog.domain.index_query import IndexQuery
from catalog.domain.state import ATTRIBUTE, Payload
from catalog.ports import Hit, ProductReader
from catalog.query.query import Query, Sort
from catalog.query.validate import QueryPolicy


async def search_hits(shelf: ProductReader, query: Query, ask: IndexQuery, policy: QueryPolicy) -> list[list[Hit]]:
    """The groups that a query wants, each with its best hit first; a hit alone is a group where nothing is grouped.

    Groups are made of, and prices put in order among, the best of a window, which grows until there are groups enough.
    """
    if query.group_by is None and query.sort is None:
        return [[hit] for hit in await shelf.search(ask)]
    wanted = query.offset + query.limit
    first = policy.window(wanted)
    groups: list[list[Hit]] = []
    for window in policy.windows:
        if window < first or (window > first and (query.group_by is None or window > policy.max_grouped)):
            continue
        hits = await shelf.search(replace(ask, offset=0, limit=window, pool=window))
        groups = [[hit] for hit in hits] if query.group_by is None else grouped(hits, query.group_by)
        if len(groups) >= wanted or len(hits) < window:
            break
    if query.sort is not None:
        groups = by_price(groups, query.sort)
    return [group[: query.group_size] for group in groups[query.offset : wanted]]


def value_of(payload: Payload, field: str) -> Any:
    """What a product has in a payload field, None where it has nothing."""
    if field.startswith(ATTRIBUTE):
        return (payload.get("attributes") or {}).get(field.removeprefix(ATTRIBUTE))
    return payload.get(field)


def grouped(hits: Sequence[Hit], field: str) -> list[list[Hit]]:
    """Hits of one tenant that share the field's value, together; groups and hits in the order they came.

    A hit without a value is a group of its own. A list is one value, whole.
    """
    groups: dict[object, list[Hit]] = {}
    for hit in hits:
        value = value_of(hit.payload, field)
        if value is None or value == []:
            groups[hit.key] = [hit]
        else:
            groups.setdefault((hit.key.tenant, type(value), repr(value)), []).append(hit)
    return list(groups.values())


def by_price(groups: Sequence[list[Hit]], sort: Sort) -> list[list[Hit]]:
    """Groups by the price of their best hit; of equal prices the better one first, and last those without a price."""

    def place(group: Sequence[Hit]) -> float:
        price = value_of(group[0].payload, "price")
        if price is None:
            return math.inf
        return float(price) if sort is Sort.CHEAPEST else -float(price)

    return sorted(groups, key=place)
