"""A query log joined with a catalogue: which query led to which product, and how often."""

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
"""Characters, the limit of the search service."""


@dataclass(frozen=True, slots=True)
class ClickLog:
    """Interactions, sorted by query and then by item, each pair once with the sum of its weights.

    `query` and `item` are int32 (n,): rows of `queries` and of the catalogue; `weight` is float32 (n,), above 0.
    `merged` counts rows whose pair was already present, `skipped` rows that are not interactions.
    """

    queries: Sequence[str]
    query: NDArray[np.int32]
    item: NDArray[np.int32]
    weight: NDArray[np.float32]
    merged: int = 0
    skipped: SkippedRows = field(default_factory=SkippedRows)

    def positives(self, query: int) -> frozenset[int]:
        """The catalogue rows that this query, a row of `queries`, led to."""
        start, end = np.searchsorted(self.query, [query, query + 1])
        return frozenset(self.item[start:end].tolist())

    def sentences(self) -> list[str]:
        """What was read, merged and skipped, a sentence each."""
        counts = f"{len(self.query)} interactions of {len(self.queries)} queries"
        merged = [f"{self.merged} rows repeat a query's product: their weights are summed."] if self.merged else []
        return [f"{counts} with {len(np.unique(self.item))} products.", *merged, *self.skipped.sentences()]

    def subset(self, mask: NDArray[np.bool_]) -> ClickLog:
        """The masked interactions, with their queries only."""
        used, query = np.unique(self.query[mask], return_inverse=True)
        queries = tuple(self.queries[row] for row in used.tolist())
        return ClickLog(queries, query.astype(np.int32), self.item[mask], self.weight[mask])


def read_click_log(source: Path, ids: Sequence[str], columns: Mapping[str, str] | None = None) -> ClickLog:
    """Read a log, a parquet, JSONL or CSV file or a folder of them, for the catalogue with these product ids.

    Columns are found by name, unless `columns` names the one of query, item or weight. The default weight is 1. Queries
    that differ only in case and blanks are merged. Raises InvalidInput for a missing column, for an id of two products,
    and if no row is an interaction; any other bad row is counted.
    """
    spellings: list[str] = []  # of each query, as it first occurs
    numbers: dict[str, int] = {}  # of each query, by its case-folded text
    number_of_text: dict[str, int] = {}  # by the log's own text, so that each is cleaned once
    query: list[int] = []
    item: list[int] = []
    weight: list[float] = []
    row_of_id = _rows_by_id(ids)
    skipped = SkippedRows()
    for row in rows(source, NAMES, needed=("query", "item"), columns=columns or {}, skipped=skipped):
        text, product, count = row.values
        row_weight, product_row = 1.0 if count is None else _number(count), row_of_id.get(id_of(product))
        is_new = not isinstance(text, str) or text not in number_of_text
        if reason := (is_new and _query_problem(text)) or _item_problem(product_row, row_weight):
            skipped.add(reason, row.where)
            continue
        assert product_row is not None  # noqa: S101 -- an unknown product has a reason
        if is_new:
            cleaned = clean(text)
            number_of_text[text] = numbers.setdefault(cleaned.casefold(), len(spellings))
            if number_of_text[text] == len(spellings):
                spellings.append(cleaned)
        query.append(number_of_text[text])
        item.append(product_row)
        weight.append(row_weight)
    if not query:
        raise InvalidInput(
            f"{source} has no interaction with a product of the catalogue. {' '.join(skipped.sentences())}".strip()
        )
    return _merged(spellings, np.array(query, np.int32), np.array(item, np.int32), np.array(weight), skipped)


def clean(text: object) -> str:
    """A query in Unicode NFC with single blanks; empty if the value is not text."""
    return " ".join(unicodedata.normalize("NFC", text).split()) if isinstance(text, str) else ""


def id_of(value: object) -> str:
    """A product's id as text. Integral floats become integers, because a column with gaps is read as floats."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def _rows_by_id(ids: Sequence[str]) -> dict[str, int]:
    rows_by_id = {name: row for row, name in enumerate(ids)}
    if len(rows_by_id) < len(ids):
        duplicate = next(name for row, name in enumerate(ids) if rows_by_id[name] != row)
        raise InvalidInput(f"Two products of the catalogue have the id {duplicate!r}: give each its own.")
    return rows_by_id


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _query_problem(text: object) -> str:
    """Why a value is not a query; empty if it is."""
    if text is not None and not isinstance(text, str):
        return "the query is not text"
    query = clean(text)
    if not query:
        return "the query is empty"
    if not is_utf8(query):
        return "the query is not UTF-8"
    return f"the query is longer than {MAX_QUERY} characters" if len(query) > MAX_QUERY else ""


def _item_problem(row: int | None, weight: float) -> str:
    """Why a product's row and a weight are not valid; empty if they are."""
    if row is None:
        return "the item is not in the catalogue"
    return "" if math.isfinite(weight) and weight > 0 else "the weight is not a number above zero"


def _merged(
    queries: Sequence[str],
    query: NDArray[np.int32],
    item: NDArray[np.int32],
    weight: NDArray[np.float64],
    skipped: SkippedRows,
) -> ClickLog:
    width = int(item.max()) + 1
    pair, inverse = np.unique(query.astype(np.int64) * width + item, return_inverse=True)
    total = np.bincount(inverse, weight).astype(np.float32)
    first, second = np.divmod(pair, width)
    merged = len(query) - len(pair)
    return ClickLog(tuple(queries), first.astype(np.int32), second.astype(np.int32), total, merged, skipped)
