"""Judgements: for each query the products that are right, by grade. TREC's qrels, CSV, JSONL or parquet."""

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
    """Queries and items by their rows, int32 (n,) each, sorted by query and then by item, no pair twice."""

    query: NDArray[np.int32]
    item: NDArray[np.int32]

    def of(self, query: int) -> NDArray[np.int32]:
        """The items of one query."""
        start, end = np.searchsorted(self.query, [query, query + 1])
        return self.item[start:end]


@dataclass(frozen=True, slots=True)
class Judgements:
    """Every query has at least one right item.

    `grade` is float32 (n,), one for each of `pairs`, above 0; what is not judged is wrong. `left_out` are items that
    are not ranked for a query at all. `groups` are bool (queries,). `skipped` counts what was read and left out.
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
    """The judgements in a file against the catalogue whose ids these are.

    A name without a suffix of a table is taken as TREC's qrels, whose queries have only ids: `texts` has their words,
    with groups and items to leave out where there are columns of them. Columns are found by name unless `columns` says
    which. Raises InvalidInput for a missing column and where nothing is judged; any other bad row is counted.
    """
    at = {name: row for row, name in enumerate(ids)}
    skipped = SkippedRows()
    known = _texts(texts, at, skipped) if texts else {}
    if source.suffix in SUFFIXES:
        found = rows(
            source, NAMES, needed=("item",) if texts else ("query", "item"), given=columns or {}, skipped=skipped
        )
    elif texts is None:
        raise InvalidInput(
            f"{source.name} is read as TREC's qrels, which name queries by their id: give their words too."
        )
    else:
        found = _trec(source, skipped)
    for row in found:
        if reason := _take(row, at, known, fixed=texts is not None):
            skipped.add(reason, row.where)
    return _judgements(known, skipped, source)


def of_titles(titles: Sequence[str]) -> Judgements:
    """Each title as a query, for which every product with that title is right.

    Raises InvalidInput where there is none.
    """
    known: dict[str, _Query] = {}
    for row, title in enumerate(titles):
        if text := _text(title):
            known.setdefault(text, _Query(text, frozenset())).grades[row] = 1.0
    return _judgements(known, SkippedRows(), Path("the catalogue's titles"))


def _take(row: TableRow, at: Mapping[str, int], known: dict[str, _Query], *, fixed: bool) -> str:
    """Add one judgement to what is known. The reason it cannot be, or empty."""
    text, item, said, name, groups = row.values
    asked = _text(text)
    key = _text(name) or asked
    if not key:
        return NO_QUERY
    if fixed and key not in known:
        return "no text is given for the query"
    if (product := at.get(_text(item))) is None:
        return "the item is not in the catalogue"
    grade = 1.0 if said is None else _number(said)
    if not math.isfinite(grade):
        return "the grade is not a number"
    if key not in known:
        if not asked or not is_utf8(asked):
            return NO_QUERY if not asked else "the query is not UTF-8"
        known[key] = _Query(asked, frozenset(_listed(groups)))
    grades = known[key].grades
    twice = product in grades
    grades[product] = max(grade, grades.get(product, grade))
    return "the query's item is judged twice, the higher grade counts" if twice else ""


def _texts(source: Path, at: Mapping[str, int], skipped: SkippedRows) -> dict[str, _Query]:
    known: dict[str, _Query] = {}
    for row in rows(source, TEXTS, needed=("id", "query"), given={}, skipped=skipped):
        name, text, groups, left_out = row.values
        key, asked = _text(name), _text(text)
        if not key or not asked or key in known or not is_utf8(asked):
            skipped.add("the query's text or id is empty, or its id is there twice", row.where)
            continue
        out = frozenset(at[i] for i in _listed(left_out) if i in at)
        known[key] = _Query(asked, frozenset(_listed(groups)), out)
    return known


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


def _judgements(known: Mapping[str, _Query], skipped: SkippedRows, source: Path) -> Judgements:
    asked = {name: query for name, query in known.items() if any(grade > 0 for grade in query.grades.values())}
    for name in known.keys() - asked.keys():
        skipped.add("the query has no right item in the catalogue", f"query {name!r}")
    if not asked:
        raise InvalidInput(f"{source} judges no product of the catalogue as right. {' '.join(skipped.told())}".strip())
    right = [
        (row, item, grade) for row, query in enumerate(asked.values()) for item, grade in sorted(query.grades.items())
    ]
    kept = [one for one in right if one[2] > 0]
    out = [(row, item) for row, query in enumerate(asked.values()) for item in sorted(query.left_out)]
    names = sorted({group for query in asked.values() for group in query.groups})
    return Judgements(
        names=tuple(asked),
        queries=tuple(query.text for query in asked.values()),
        pairs=_pairs(kept),
        grade=np.array([grade for _, _, grade in kept], np.float32),
        left_out=_pairs(out),
        groups={group: np.array([group in query.groups for query in asked.values()]) for group in names},
        skipped=skipped,
    )


def _pairs(found: Sequence[tuple[Any, ...]]) -> Pairs:
    return Pairs(np.array([one[0] for one in found], np.int32), np.array([one[1] for one in found], np.int32))


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None or isinstance(value, dict | list) else " ".join(str(value).split())


def _listed(value: object) -> list[str]:
    """A list as it is, a text cut at its semicolons."""
    given = value if isinstance(value, list) else str(value).split(";") if isinstance(value, str) else []
    return [text for one in given if (text := _text(one))]


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan
