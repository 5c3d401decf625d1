"""Judgements: for each query the relevant products with grades, read from TREC qrels, CSV, JSONL or parquet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import InvalidInput
from evaluation.tables import SUFFIXES, SkippedRows, TableRow, is_utf8, rows

NAMES = {
    "query": ("query", "query_text", "text", "search_term", "search_query", "keyword", "q"),
    "item": ("item", "item_id", "product", "product_id", "productid", "sku", "docid", "doc_id", "asin"),
    "grade": ("grade", "relevance", "rel", "rating", "label", "score"),
    "id": ("query_id", "qid", "id"),
    "groups": ("groups", "group"),
}
TEXTS = {
    "id": ("query_id", "qid", "id"),
    "query": NAMES["query"],
    "groups": NAMES["groups"],
    "left_out": ("left_out",),
}
NO_QUERY = "the query is empty"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows of queries and items, int32 (n,) each, sorted by query and then by item, without duplicates."""

    query: NDArray[np.int32]
    item: NDArray[np.int32]

    def of(self, query: int) -> NDArray[np.int32]:
        """The items of one query."""
        start, end = np.searchsorted(self.query, [query, query + 1])
        return self.item[start:end]


@dataclass(frozen=True, slots=True)
class Judgements:
    """Every query has at least one relevant item.

    `grade` is float32 (n,), above 0, one for each of `pairs`; any other item is not relevant. `left_out` are items that
    are not ranked for a query. `groups` are bool (queries,). `skipped` counts the rows that were not used.
    """

    names: tuple[str, ...]
    queries: tuple[str, ...]
    pairs: Pairs
    grade: NDArray[np.float32]
    left_out: Pairs
    groups: Mapping[str, NDArray[np.bool_]]
    skipped: SkippedRows = field(default_factory=SkippedRows)


@dataclass(slots=True)
class _Query:
    text: str
    groups: frozenset[str]
    left_out: frozenset[int] = frozenset()
    grades: dict[int, float] = field(default_factory=dict)


def read_judgements(
    source: Path, ids: Sequence[str], *, texts: Path | None = None, columns: Mapping[str, str] | None = None
) -> Judgements:
    """Read judgements of the catalogue with these product ids.

    A file without the suffix of a table is read as TREC qrels, whose queries are ids. `texts` is a table of their
    texts, optionally with groups and with items to leave out. Columns are found by name, unless `columns` names them.
    Raises InvalidInput for a missing column and if nothing is judged; any other bad row is counted.
    """
    row_of_id = {name: row for row, name in enumerate(ids)}
    skipped = SkippedRows()
    queries = _read_texts(texts, row_of_id, skipped) if texts else {}
    if source.suffix in SUFFIXES:
        needed = ("item",) if texts else ("query", "item")
        judged_rows = rows(source, NAMES, needed=needed, columns=columns or {}, skipped=skipped)
    elif texts is None:
        raise InvalidInput(
            f"{source.name} is read as TREC qrels, which name queries by their id: give a file with their texts too."
        )
    else:
        judged_rows = _trec(source, skipped)
    for row in judged_rows:
        if reason := _add(row, row_of_id, queries, fixed=texts is not None):
            skipped.add(reason, row.where)
    return _judgements(queries, skipped, source)


def of_titles(titles: Sequence[str]) -> Judgements:
    """Each title as a query, for which every product with that title is relevant.

    Raises InvalidInput if there are no titles.
    """
    queries: dict[str, _Query] = {}
    for row, title in enumerate(titles):
        if text := _text(title):
            queries.setdefault(text, _Query(text, frozenset())).grades[row] = 1.0
    return _judgements(queries, SkippedRows(), Path("the catalogue's titles"))


def _add(row: TableRow, row_of_id: Mapping[str, int], queries: dict[str, _Query], *, fixed: bool) -> str:
    """Add one judgement to the queries, which are given if `fixed`. Returns why the row is bad, or empty."""
    text, item, graded, query_id, groups = row.values
    query_text = _text(text)
    key = _text(query_id) or query_text
    if not key:
        return NO_QUERY
    if fixed and key not in queries:
        return "no text is given for the query"
    if (product := row_of_id.get(_text(item))) is None:
        return "the item is not in the catalogue"
    grade = 1.0 if graded is None else _number(graded)
    if not math.isfinite(grade):
        return "the grade is not a number"
    if key not in queries:
        if not query_text or not is_utf8(query_text):
            return NO_QUERY if not query_text else "the query is not UTF-8"
        queries[key] = _Query(query_text, frozenset(_listed(groups)))
    grades = queries[key].grades
    is_duplicate = product in grades
    grades[product] = max(grade, grades.get(product, grade))
    return "the query's item is judged twice, the higher grade counts" if is_duplicate else ""


def _read_texts(source: Path, row_of_id: Mapping[str, int], skipped: SkippedRows) -> dict[str, _Query]:
    queries: dict[str, _Query] = {}
    for row in rows(source, TEXTS, needed=("id", "query"), columns={}, skipped=skipped):
        query_id, text, groups, left_out = row.values
        key, query_text = _text(query_id), _text(text)
        if not key or not query_text or key in queries or not is_utf8(query_text):
            skipped.add("the query's text or id is empty, or its id is there twice", row.where)
            continue
        left_out_rows = frozenset(row_of_id[i] for i in _listed(left_out) if i in row_of_id)
        queries[key] = _Query(query_text, frozenset(_listed(groups)), left_out_rows)
    return queries


def _trec(source: Path, skipped: SkippedRows) -> Iterator[TableRow]:
    if not source.is_file():
        raise InvalidInput(f"There is no file {source}: correct the path.")
    with source.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{source.name} line {number}"
            cells = line.split()
            if not cells:
                continue
            if len(cells) != 4:
                skipped.add("not the four fields of a line of qrels", where)
                continue
            try:
                query, _, item, grade = (cell.decode("utf-8-sig") for cell in cells)
            except UnicodeDecodeError:
                skipped.add("not UTF-8 (save the file as UTF-8)", where)
                continue
            yield TableRow(where, (None, item, grade, query, None))


def _judgements(queries: Mapping[str, _Query], skipped: SkippedRows, source: Path) -> Judgements:
    judged = {name: query for name, query in queries.items() if any(grade > 0 for grade in query.grades.values())}
    for name in queries.keys() - judged.keys():
        skipped.add("the query has no relevant item in the catalogue", f"query {name!r}")
    if not judged:
        raise InvalidInput(
            f"{source} judges no product of the catalogue as relevant. {' '.join(skipped.sentences())}".strip()
        )
    relevant = [
        (row, item, grade)
        for row, query in enumerate(judged.values())
        for item, grade in sorted(query.grades.items())
        if grade > 0
    ]
    left_out = [(row, item) for row, query in enumerate(judged.values()) for item in sorted(query.left_out)]
    groups = sorted({group for query in judged.values() for group in query.groups})
    return Judgements(
        names=tuple(judged),
        queries=tuple(query.text for query in judged.values()),
        pairs=_pairs(relevant),
        grade=np.array([grade for _, _, grade in relevant], np.float32),
        left_out=_pairs(left_out),
        groups={group: np.array([group in query.groups for query in judged.values()]) for group in groups},
        skipped=skipped,
    )


def _pairs(rows_and_items: Sequence[tuple[Any, ...]]) -> Pairs:
    query, item = [pair[0] for pair in rows_and_items], [pair[1] for pair in rows_and_items]
    return Pairs(np.array(query, np.int32), np.array(item, np.int32))


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None or isinstance(value, dict | list) else " ".join(str(value).split())


def _listed(value: object) -> list[str]:
    """The texts of a list, or of a text with semicolons between them."""
    parts = value if isinstance(value, list) else value.split(";") if isinstance(value, str) else []
    return [text for part in parts if (text := _text(part))]


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan
