"""The lines of a dry run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streams.publish.catalogue_files import CatalogueRow
from streams.publish.column_report import ColumnReport
from streams.publish.columns import ColumnMapping, event_of


def row(file: str, values: dict[str, Any]) -> CatalogueRow:
    columns = ColumnMapping.recognise(values)
    return CatalogueRow(Path(file), 1, event_of(values, columns, folder=Path("/shop"), version=1), columns)


def test_the_columns_of_all_rows_of_a_file_are_shown_in_one_line() -> None:
    report = ColumnReport()
    report.add(row("a.jsonl", {"sku": 1, "name": "x", "price": 2, "colour": "red"}))
    report.add(row("a.jsonl", {"sku": 2, "name": "y", "sale_price": 1, "size": 3}))
    assert report.lines()[:-1] == ["a.jsonl: id=sku title=name price=price,sale_price; attributes: colour, size"]


def test_files_with_the_same_columns_share_a_line_and_events_are_named() -> None:
    report = ColumnReport()
    for number in range(3):
        report.add(row(f"{number}.csv", {"id": 1, "title": "x"}))
    report.add(CatalogueRow(Path("e.jsonl"), 1, {"op": "put", "id": "1", "title": "t"}))
    assert report.lines()[:-1] == [
        "0.csv and 2 more: id=id title=title; attributes: none",
        "e.jsonl: product events, taken as they are",
    ]


def test_long_texts_of_the_example_and_long_lists_are_cut() -> None:
    report = ColumnReport()
    report.add(row("a.csv", {"id": 1, "image": b"\xff\xd8\xff" + b"x" * 1000} | {f"c{n}": n for n in range(33)}))
    columns, example = report.lines()
    assert columns.endswith(", c29 and 3 more")
    assert len(example) < 1000


def test_no_rows_no_lines() -> None:
    assert ColumnReport().lines() == []
