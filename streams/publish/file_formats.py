"""The kinds of catalogue file, each read row by row in bounded memory: parquet, JSON lines, CSV and TSV.

The text kinds may be compressed with gzip. The ending of the name decides the kind, in upper or lower case.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow
import pyarrow.parquet as parquet

from catalog.errors import InvalidInput
from streams.publish.raw_rows import RawRow, open_bytes
from streams.publish.separated_values import SeparatedValues

ROWS_AT_ONCE = 256


class FileFormat(Protocol):
    """One kind of file. Its functions raise InvalidInput if the file as a whole cannot be read."""

    def columns(self, file: Path) -> Sequence[str] | None:
        """The names of the columns; None if each row has its own."""

    def count(self, file: Path) -> int:
        """The number of rows, unreadable ones included."""

    def rows(self, file: Path) -> Iterator[RawRow]:
        """The rows in order."""


def format_of(file: Path) -> FileFormat | None:
    """The kind of a file by the ending of its name, None if that is unknown."""
    name = file.name.lower()
    if name.endswith(".parquet"):
        return Parquet()
    name = name.removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        return JsonLines()
    return SeparatedValues(",") if name.endswith(".csv") else SeparatedValues("\t") if name.endswith(".tsv") else None


class Parquet:
    def columns(self, file: Path) -> Sequence[str]:
        with _parquet(file) as table:
            return list(table.schema_arrow.names)

    def count(self, file: Path) -> int:
        with _parquet(file) as table:
            return int(table.metadata.num_rows)

    def rows(self, file: Path) -> Iterator[RawRow]:
        with _parquet(file) as table:
            batches = table.iter_batches(batch_size=ROWS_AT_ONCE)
            rows = (row for batch in batches for row in batch.to_pylist())
            for number, row in enumerate(rows, start=1):
                yield RawRow(number, row)


class JsonLines:
    def columns(self, file: Path) -> None:
        return None

    def count(self, file: Path) -> int:
        with open_bytes(file) as lines:
            return sum(1 for line in lines if line.strip())

    def rows(self, file: Path) -> Iterator[RawRow]:
        with open_bytes(file) as lines:
            numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
            for position, (number, line) in enumerate(numbered):
                if position == 0 and line.strip() == b"[":
                    raise InvalidInput(
                        f"{file} holds one JSON array: write one object a line, as `jq -c '.[]' {file.name}` does."
                    )
                yield self._row(number, line)

    def _row(self, number: int, line: bytes) -> RawRow:
        try:
            row = json.loads(line)
        except ValueError as error:
            return RawRow(number, reason=f"not JSON: {error}")
        return RawRow(number, row) if isinstance(row, dict) else RawRow(number, reason="not a JSON object")


def _parquet(file: Path) -> Any:
    try:
        return parquet.ParquetFile(file, pre_buffer=False)  # buffering holds a whole row group in memory
    except pyarrow.ArrowInvalid as error:
        raise InvalidInput(f"{file} is not a parquet file: {error}.") from error
