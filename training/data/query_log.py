"""A query log against a catalogue: which query led to which product, and how often."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalog.errors import InvalidInput
from evaluation.tables import SkippedRows, is_utf8, rows

NAMES = {
    "query": ("query", "query_text", "search_term", "search_query", "searchterm", "keyword", "keywords", "q", "text"),
    "item": ("item", "item_id", "product", "product_id", "productid", "sku", "id", "asin"),
    "weight": ("weight", "count", "clicks", "purchases", "n"),
}
MAX_QUERY = 1000
"""Characters; the search takes no longer query."""


@dataclass(frozen=True, slots=True)
class ClickLog:
    """Interactions, sorted by query and then by item, each pair once with the sum of its weights.

    `query` and `item` are int32 (n,): rows of `queries` and of the catalogue; `weight` is float32 (n,), above 0.
    `merged` counts the rows that added to a pair that was there already, `skipped` those that are no interactions.
    """

    queries: Sequence[str]
    query: NDArray[np.int32]
    item: NDArray[np.int32]
    weight: NDArray[np.float32]
    merged: int = 0
    skipped: SkippedRows = field(default_factory=SkippedRows)

    def positives(self, query: int) -> frozenset[int]:
        """The catalogue's rows that this query, a row of `queries`, led to."""
        start, end = np.searchsorted(self.query, [query, query + 1])
        return frozenset(self.item[start:end].tolist())

    def told(self) -> list[str]:
        """What was read, merged and skipped, a sentence each."""
        said = f"{len(self.query)} interactions of {len(self.queries)} queries"
        merged = [f"{self.merged} rows repeat a query's product: their weights are summed."] if self.merged else []
        return [f"{said} with {len(np.unique(self.item))} products.", *merged, *self.skipped.told()]

    def of(self, chosen: NDArray[np.bool_]) -> ClickLog:
        """Only these interactions, and only the queries they have."""
        kept, query = np.unique(self.query[chosen], return_inverse=True)
        queries = tuple(self.queries[row] for row in kept.tolist())
        return ClickLog(queries, query.astype(np.int32), self.item[chosen], self.weight[chosen])


def read_click_log(source: Path, ids: Sequence[str], columns: Mapping[str, str] | None = None) -> ClickLog:
    """The log in a parquet, JSONL or CSV file, or in a folder of them, against the catalogue whose ids these are.

    Columns are found by name unless `columns` says which holds query, item or weight; without a weight every row weighs
    1. Queries are the same when they are but for case and blanks. Raises InvalidInput for a missing column, for an id
    that two products have, and where no row is an interaction; any other bad row is counted.
    """
    number: dict[str, int] = {}
    spelled: list[str] = []
    query: list[int] = []
    item: list[int] = []
    weight: list[float] = []
    known: dict[str, int] = {}
    catalogue = _rows_of(ids)
    skipped = SkippedRows()
    for row in rows(source, NAMES, needed=("query", "item"), given=columns or {}, skipped=skipped):
        text, product, said = row.values
        heavy, at = 1.0 if said is None else _number(said), catalogue.get(id_of(product))
        fresh = not isinstance(text, str) or text not in known
        if reason := (fresh and _no_query(text)) or _no_answer(at, heavy):
            skipped.add(reason, row.where)
            continue
        assert at is not None  # noqa: S101 -- an unknown product is a reason
        if fresh:
            asked = clean(text)
            known[text] = number.setdefault(asked.casefold(), len(spelled))
            if known[text] == len(spelled):
                spelled.append(asked)
        query.append(known[text])
        item.append(at)
        weight.append(heavy)
    if not query:
        raise InvalidInput(
            f"{source} has no interaction with a product of the catalogue. {' '.join(skipped.told())}".strip()
        )
    return _merged(spelled, np.array(query, np.int32), np.array(item, np.int32), np.array(weight), skipped)


def clean(text: object) -> str:
    """A query as it is kept: composed letters, single blanks, none around it; empty for what is no text."""
    return " ".join(unicodedata.normalize("NFC", text).split()) if isinstance(text, str) else ""


def id_of(value: object) -> str:
    """A product's id as text: a column of integers with holes in it is read as floats."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _rows_of(ids: Sequence[str]) -> dict[str, int]:
    catalogue = {name: row for row, name in enumerate(ids)}
    if len(catalogue) < len(ids):
        twice = next(name for row, name in enumerate(ids) if catalogue[name] != row)
        raise InvalidInput(f"Two products of the catalogue have the id {twice!r}: give each its own.")
    return catalogue


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _no_query(text: object) -> str:
    """Why a value is no query; empty where it is one."""
    if text is not None and not isinstance(text, str):
        return "the query is no text"
    asked = clean(text)
    if not asked:
        return "the query is empty"
    if not is_utf8(asked):
        return "the query is not UTF-8"
    return f"the query is longer than {MAX_QUERY} characters" if len(asked) > MAX_QUERY else ""


def _no_answer(at: int | None, weight: float) -> str:
    """Why a product and a weight are none; empty where they are."""
    if at is None:
        return "the item is not in the catalogue"
    return "" if math.isfinite(weight) and weight > 0 else "the weight is not a number above zero"


def _merged(
    queries: Sequence[str],
    query: NDArray[np.int32],
    item: NDArray[np.int32],
    weight: NDArray[np.float64],
    skip: SkippedRows,
) -> ClickLog:
    width = int(item.max()) + 1
    pair, inverse = np.unique(query.astype(np.int64) * width + item, return_inverse=True)
    total = np.bincount(inverse, weight).astype(np.float32)
    first, second = np.divmod(pair, width)
    merged = len(query) - len(pair)
    return ClickLog(tuple(queries), first.astype(np.int32), second.astype(np.int32), total, merged, skip)
