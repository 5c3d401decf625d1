"""Rows of a parquet, JSON-lines or CSV file by the names of their columns, a bad row a counted one."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from catalog.errors import InvalidInput

Names = Mapping[str, tuple[str, ...]]
"""What is looked for, and the names a column of it may have; the first that is there is taken."""

SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv")
_BATCH = 8192
_FIRST_ROWS = 100
_NOT_UTF8 = "not UTF-8 (save the file as UTF-8)"


@dataclass(slots=True)
class SkippedRows:
    """How many rows were left out, by the reason, and where the first of each stands."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, where: str) -> None:
        self.counts[reason] += 1
        self.first.setdefault(reason, where)

    def told(self) -> list[str]:
        """A sentence for each reason, the commonest first."""
        return [
            f"{count} skipped: {reason}; first {self.first[reason]}." for reason, count in self.counts.most_common()
        ]


@dataclass(frozen=True, slots=True)
class TableRow:
    """The values asked for, in their order (None where there is none), and where the row stands."""

    where: str
    values: tuple[Any, ...]


def rows(
    source: Path, names: Names, *, needed: Sequence[str], given: Mapping[str, str], skipped: SkippedRows
) -> Iterator[TableRow]:
    """The rows of a file, or of all files of a folder; what is no row is counted in `skipped`.

    The columns are found by `names` unless `given` names them. Raises InvalidInput where there is no such file, or
    where a column that is needed, or was given, is missing.
    """
    for wrong in given.keys() - names.keys():
        raise InvalidInput(f"There is no field {wrong!r} to name a column for: there are {', '.join(names)}.")
    for file in _files(source):
        read = {".parquet": _parquet, ".csv": _csv, ".tsv": _csv}.get(file.suffix, _jsonl)
        yield from read(file, lambda there, f=file: _columns(f, there, names, needed, given), skipped)  # type: ignore[misc]


Choose = Callable[[Sequence[str]], list[str | None]]


def _columns(
    file: Path, there: Sequence[str], names: Names, needed: Sequence[str], given: Mapping[str, str]
) -> list[str | None]:
    plain = {name.strip().lower(): name for name in reversed(there)}
    chosen: list[str | None] = []
    for wanted, known in names.items():
        column = next((plain[name] for name in known if name in plain), None)
        if wanted in given:
            column = given[wanted] if given[wanted] in there else None
        if column is None and (wanted in given or wanted in needed):
            missing = f"the column {given[wanted]!r}" if wanted in given else f"a column of the {wanted}"
            raise InvalidInput(
                f"{file.name} lacks {missing}: it has {', '.join(map(ascii, there)) or 'none'}; "
                f"name the right one with --map {wanted}=COLUMN."
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
    for part in (first, objects):
        for where, row in part:
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
    # Bytes that are not UTF-8 come through as lone surrogates, so that only their row is lost.
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        head = lines.readline()
        if not is_utf8(head) or "\0" in head:
            raise InvalidInput(f"{file.name} is not UTF-8: save it as UTF-8.")
        delimiter = max("\t,;", key=head.count)
        lines.seek(0)
        table = csv.reader(lines, delimiter=delimiter)
        try:
            header = next(table, [])
            at = [None if name is None else header.index(name) for name in choose(header)]
            for cells in table:
                if not cells:
                    continue
                where = f"{file.name} line {table.line_num}"
                if len(cells) != len(header):
                    skipped.add("more or fewer cells than the header has", where)
                elif not is_utf8("".join(cells)):
                    skipped.add(_NOT_UTF8, where)
                else:
                    yield TableRow(where, tuple(None if i is None else cells[i] for i in at))
        except csv.Error as error:
            raise InvalidInput(f"{file.name} line {table.line_num} cannot be read as CSV: {error}.") from error


def is_utf8(text: str) -> bool:
    """Whether a text can be written at all: it has no half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        found = sorted(file for file in source.iterdir() if file.suffix in SUFFIXES)
        if not found:
            raise InvalidInput(
                f"There is no {', '.join(SUFFIXES)} file in {source}: name a folder with some, or a file."
            )
        return found
    if not source.is_file():
        raise InvalidInput(f"There is no file or folder {source}: correct the path.")
    if source.suffix not in SUFFIXES:
        raise InvalidInput(f"{source.name} is none of {', '.join(SUFFIXES)}: convert it to one of them.")
    return [source]
