"""Reads rows of parquet, JSON-lines or CSV files by column names, and counts bad rows."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from catalog.errors import InvalidInput

Names = Mapping[str, tuple[str, ...]]
"""The fields to read, with possible column names; the first column that exists is used."""

SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv")
FIELD_CHARS = 131_072  # of one CSV field
_BATCH = 8192
_FIRST_ROWS = 100
_NOT_UTF8 = "not UTF-8 (save the file as UTF-8)"


@dataclass(slots=True)
class SkippedRows:
    """The number of skipped rows by reason, and the place of the first of each."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, where: str) -> None:
        self.counts[reason] += 1
        self.first.setdefault(reason, where)

    def sentences(self) -> list[str]:
        """A sentence for each reason, the most frequent first."""
        return [
            f"{count} skipped: {reason}; first {self.first[reason]}." for reason, count in self.counts.most_common()
        ]


@dataclass(frozen=True, slots=True)
class TableRow:
    """The values of the fields in their order, None for a missing one, and the place of the row."""

    where: str
    values: tuple[Any, ...]


def rows(
    source: Path, names: Names, *, needed: Sequence[str], columns: Mapping[str, str], skipped: SkippedRows
) -> Iterator[TableRow]:
    """Yield the rows of a file, or of all files of a folder. Bad rows are counted in `skipped`.

    Columns are found by `names`, unless `columns` names them. Raises InvalidInput if the file does not exist, or if a
    column that is needed or named is missing.
    """
    for unknown in columns.keys() - names.keys():
        raise InvalidInput(f"There is no field {unknown!r} to name a column for: use one of {', '.join(names)}.")
    for file in _files(source):
        read = {".parquet": _parquet, ".csv": _csv, ".tsv": _csv}.get(file.suffix, _jsonl)
        yield from read(file, lambda header, f=file: _columns(f, header, names, needed, columns), skipped)  # type: ignore[misc]


Choose = Callable[[Sequence[str]], list[str | None]]


def _columns(
    file: Path, header: Sequence[str], names: Names, needed: Sequence[str], columns: Mapping[str, str]
) -> list[str | None]:
    by_plain_name = {name.strip().lower(): name for name in reversed(header)}
    chosen: list[str | None] = []
    for field_name, candidates in names.items():
        column = next((by_plain_name[name] for name in candidates if name in by_plain_name), None)
        if field_name in columns:
            column = columns[field_name] if columns[field_name] in header else None
        if column is None and (field_name in columns or field_name in needed):
            is_named = field_name in columns
            missing = f"the column {columns[field_name]!r}" if is_named else f"a column of the {field_name}"
            raise InvalidInput(
                f"{file.name} lacks {missing}: it has {', '.join(map(ascii, header)) or 'none'}; "
                f"name the right one with --map {field_name}=COLUMN."
            )
        chosen.append(column)
    return chosen


def _parquet(file: Path, choose: Choose, skipped: SkippedRows) -> Iterator[TableRow]:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        table = parquet.ParquetFile(file, pre_buffer=False)
    except pyarrow.ArrowInvalid as error:
        raise InvalidInput(f"{file} is not a parquet file: {error}.") from error
    with table:
        chosen = choose(table.schema_arrow.names)
        number = 0
        for batch in table.iter_batches(_BATCH, columns=[name for name in chosen if name is not None]):
            columns = [[None] * len(batch) if name is None else batch.column(name).to_pylist() for name in chosen]
            for values in zip(*columns, strict=True):
                number += 1
                yield TableRow(f"{file.name} row {number}", values)


def _jsonl(file: Path, choose: Choose, skipped: SkippedRows) -> Iterator[TableRow]:
    objects = _objects(file, skipped)
    first = list(islice(objects, _FIRST_ROWS))
    chosen = choose(list(dict.fromkeys(name for _, row in first for name in row)))
    for where, row in chain(first, objects):
        yield TableRow(where, tuple(None if name is None else row.get(name) for name in chosen))


def _objects(file: Path, skipped: SkippedRows) -> Iterator[tuple[str, dict[str, Any]]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{file.name} line {number}"
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig"))
            except UnicodeDecodeError:
                skipped.add(_NOT_UTF8, where)
                continue
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                yield where, row
            else:
                skipped.add("not a JSON object", where)


def _csv(file: Path, choose: Choose, skipped: SkippedRows) -> Iterator[TableRow]:
    csv.field_size_limit(FIELD_CHARS)  # of the whole process: the reader of catalogues sets its own
    # Bytes that are not UTF-8 become lone surrogates, so that only their row is skipped.
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        first_line = lines.readline()
        if not is_utf8(first_line) or "\0" in first_line:
            raise InvalidInput(f"{file.name} is not UTF-8: save it as UTF-8.")
        delimiter = max("\t,;", key=first_line.count)
        lines.seek(0)
        table = csv.reader(lines, delimiter=delimiter)
        try:
            header = next(table, [])
            positions = [None if name is None else header.index(name) for name in choose(header)]
            for cells in table:
                if not cells:
                    continue
                where = f"{file.name} line {table.line_num}"
                if len(cells) != len(header):
                    skipped.add("more or fewer cells than the header has", where)
                elif not is_utf8("".join(cells)):
                    skipped.add(_NOT_UTF8, where)
                else:
                    yield TableRow(where, tuple(None if i is None else cells[i] for i in positions))
        except csv.Error as error:
            raise InvalidInput(f"{file.name} line {table.line_num} cannot be read as CSV: {error}.") from error


def is_utf8(text: str) -> bool:
    """Whether a text can be encoded: it has no lone surrogate."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        files = sorted(file for file in source.iterdir() if file.suffix in SUFFIXES)
        if not files:
            raise InvalidInput(
                f"There is no {', '.join(SUFFIXES)} file in {source}: name a folder with some, or a file."
            )
        return files
    if not source.is_file():
        raise InvalidInput(f"There is no file or folder {source}: correct the path.")
    if source.suffix not in SUFFIXES:
        raise InvalidInput(
            f"{source.name} has none of the suffixes {', '.join(SUFFIXES)}: convert it to one of these formats."
        )
    return [source]
