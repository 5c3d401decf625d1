"""Runs a query and shapes its hits: groups, and order by price."""

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


async def search_hits(
    product_reader: ProductReader, query: Query, index_query: IndexQuery, policy: QueryPolicy
) -> list[list[Hit]]:
    """The groups of a query's result, each with its best hit first. Without grouping every hit is a group.

    Grouping and sorting work on a window of the best hits, which grows until it yields enough groups.
    """
    if query.group_by is None and query.sort is None:
        return [[hit] for hit in await product_reader.search(index_query)]
    needed = query.offset + query.limit
    first = policy.window(needed)
    groups: list[list[Hit]] = []
    for window in policy.windows:
        if window < first or (window > first and (query.group_by is None or window > policy.max_grouped)):
            continue
        hits = await product_reader.search(replace(index_query, offset=0, limit=window, pool=window))
        groups = [[hit] for hit in hits] if query.group_by is None else grouped(hits, query.group_by)
        if len(groups) >= needed or len(hits) < window:
            break
    if query.sort is not None:
        groups = by_price(groups, query.sort)
    return [group[: query.group_size] for group in groups[query.offset : needed]]


def value_of(payload: Payload, field: str) -> Any:
    """The value of a product's payload field; None if it has none."""
    if field.startswith(ATTRIBUTE):
        return (payload.get("attributes") or {}).get(field.removeprefix(ATTRIBUTE))
    return payload.get(field)


def grouped(hits: Sequence[Hit], field: str) -> list[list[Hit]]:
    """Groups the hits of one tenant that share the field's value. Groups and hits keep their order.

    A hit without a value is a group of its own. A list is compared as one value.
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
    """Sorts groups by the price of their best hit. Equal prices keep their order; groups without a price come last."""

    def sort_key(group: Sequence[Hit]) -> float:
        price = value_of(group[0].payload, "price")
        if price is None:
            return math.inf
        return float(price) if sort is Sort.CHEAPEST else -float(price)

    return sorted(groups, key=sort_key)
