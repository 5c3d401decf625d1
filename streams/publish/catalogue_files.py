"""A catalogue from files: parquet, or JSON lines, read in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet

from catalog.errors import InvalidInput
from streams.publish.columns import ColumnMapping, Event, event_of
from streams.publish.publisher import EventTooLarge, Publisher
from streams.publish.row_values import BadValue, resolve_image

ROWS_AT_ONCE = 256
JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """A row that became an event; rows and lines are counted from 1."""

    file: Path
    row: int
    event: Event


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that became no event, and why."""

    file: Path
    row: int
    reason: str


class Catalogue:
    """The products in a file or a folder of files. Iterating gives a Row or a BadRow for each of its rows."""

    def __init__(self, path: Path, *, version: int, columns: ColumnMapping | None = None) -> None:
        """`version` is what rows without one carry: one for the whole back-fill, so that fresher live data wins.

        `columns` None recognises them by name, file by file. Raises InvalidInput when there is nothing to read at
        `path`.
        """
        self.files = tuple(_files(path))
        self._version = version
        self._columns = columns

    @property
    def total(self) -> int:
        """How many rows there are."""
        return sum(_lines(f) if f.suffix in JSON_LINES else _rows(f) for f in self.files)

    def __iter__(self) -> Iterator[CatalogueRow | BadRow]:
        for file in self.files:
            yield from self._lines(file) if file.suffix in JSON_LINES else self._rows(file)

    def _rows(self, file: Path) -> Iterator[CatalogueRow | BadRow]:
        with _opened(file) as table:
            columns = self._columns or ColumnMapping.recognise(table.schema_arrow.names)
            batches = table.iter_batches(batch_size=ROWS_AT_ONCE)
            rows = (row for batch in batches for row in batch.to_pylist())
            for number, row in enumerate(rows, start=1):
                yield self._event(file, number, row, columns)

    def _lines(self, file: Path) -> Iterator[CatalogueRow | BadRow]:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    yield BadRow(file, number, f"not JSON: {error}")
                    continue
                if not isinstance(row, dict):
                    yield BadRow(file, number, "not a JSON object")
                elif self._columns is None and _keeps_contract(row):
                    yield self._of_contract(file, number, row)
                else:
                    yield self._flat(file, number, row)

    def _flat(self, file: Path, number: int, row: Event) -> CatalogueRow | BadRow:
        try:
            columns = self._columns or ColumnMapping.recognise(row)
        except InvalidInput as error:
            return BadRow(file, number, str(error))
        return self._event(file, number, row, columns)

    def _event(self, file: Path, number: int, row: Event, columns: ColumnMapping) -> CatalogueRow | BadRow:
        try:
            event = event_of(row, columns, folder=file.parent, version=self._version)
        except BadValue as error:
            return BadRow(file, number, str(error))
        return CatalogueRow(file, number, event)

    def _of_contract(self, file: Path, number: int, event: Event) -> CatalogueRow | BadRow:
        if event.get("id") in (None, ""):
            return BadRow(file, number, "id is missing")
        if isinstance(images := event.get("images"), list):
            event["images"] = [resolve_image(url, file.parent) if isinstance(url, str) else url for url in images]
        said = {name: value for name, value in event.items() if value is not None}
        return CatalogueRow(file, number, {"op": "put", "version": self._version} | said)


@dataclass(frozen=True, slots=True)
class BackfillResult:
    """What a back-fill did: events sent, rows refused, and by partition the offset after the last event."""

    sent: int
    refused: int
    ends: dict[int, int]


def backfill(
    catalogue: Catalogue,
    publisher: Publisher,
    *,
    limit: int | None = None,
    on_row: Callable[[CatalogueRow | BadRow], None] = lambda row: None,
    on_bad: Callable[[BadRow], None] = lambda bad: None,
) -> BackfillResult:
    """Publishes the catalogue, at most `limit` rows of it; every event is kept when it returns.

    `on_row` is called after each row, `on_bad` for each that became no event or was too large to be sent. Raises
    Unavailable when the broker is lost.
    """
    sent = refused = 0
    for row in islice(catalogue, limit):
        bad = row if isinstance(row, BadRow) else _sent(publisher, row)
        if bad is None:
            sent += 1
        else:
            refused += 1
            on_bad(bad)
        on_row(row)
    return BackfillResult(sent, refused, publisher.flush())


def _sent(publisher: Publisher, row: CatalogueRow) -> BadRow | None:
    try:
        publisher.send_event(row.event)
    except EventTooLarge as error:
        return BadRow(row.file, row.row, str(error))
    return None


def _keeps_contract(row: Event) -> bool:
    """Whether a JSON object is an event of the data contract already; otherwise it is a flat row."""
    return "op" in row or any(isinstance(row.get(name), dict) for name in ("attributes", "offer"))


def _files(path: Path) -> Sequence[Path]:
    suffixes = (".parquet", *JSON_LINES)
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix in suffixes)
        if not found:
            raise InvalidInput(
                f"There is no .parquet, .jsonl or .ndjson file in {path}: name a folder with some, or a file."
            )
        return found
    if not path.is_file():
        raise InvalidInput(f"There is no file or folder {path}: correct the path.")
    if path.suffix not in suffixes:
        raise InvalidInput(f"{path.name} is neither .parquet nor .jsonl nor .ndjson: convert it to one of them.")
    return [path]


def _opened(file: Path) -> Any:
    try:
        return parquet.ParquetFile(file, pre_buffer=False)  # buffering holds a whole row group in memory
    except pyarrow.ArrowInvalid as error:
        raise InvalidInput(f"{file} is not a parquet file: {error}.") from error


def _lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _rows(file: Path) -> int:
    with _opened(file) as table:
        return int(table.metadata.num_rows)
