"""The products of catalogue files as events, and the back-fill that publishes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from catalog.errors import InvalidInput
from streams.publish.columns import ColumnMapping, ColumnOverrides, Event, event_of
from streams.publish.file_formats import FileFormat, format_of
from streams.publish.publisher import EventTooLarge, Publisher
from streams.publish.raw_rows import RawRow
from streams.publish.row_values import BadValue, resolve_image
from streams.publish.separated_values import SeparatedValues


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """A row that became an event. `row` counts from 1: rows of parquet, lines of text files.

    `columns` says which column was read as what, None for a row that already was an event.
    """

    file: Path
    row: int
    event: Event
    columns: ColumnMapping | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that became no event, and the reason."""

    file: Path
    row: int
    reason: str


class Catalogue:
    """The products in a file or a folder of files. Iterating gives a CatalogueRow or a BadRow for each row."""

    def __init__(
        self,
        path: Path,
        *,
        version: int,
        columns: ColumnMapping | None = None,
        overrides: ColumnOverrides | None = None,
    ) -> None:
        """`version` is given to rows without one: the same for the whole back-fill, so that newer live data wins.

        A folder with parquet or JSON-lines files is read for these. Its CSV and TSV files, often reports or judgements,
        are in `left_out`. `columns` None finds the columns by name, file by file, except those that `overrides` names.
        Raises InvalidInput if there is nothing to read at `path`.
        """
        self.files, self.left_out = _files(path)
        self._version = version
        self._columns = columns
        self._overrides = overrides or {}

    @property
    def total(self) -> int:
        """The number of rows. Reads text files once. Raises InvalidInput for a file that cannot be read."""
        return sum(kind.count(file) for file, kind in self.files.items())

    def __iter__(self) -> Iterator[CatalogueRow | BadRow]:
        for file, kind in self.files.items():
            names = kind.columns(file)
            columns = self._columns if names is None else self._recognise(file, names)
            for row in kind.rows(file):
                yield self._row(file, row, columns)

    def _row(self, file: Path, row: RawRow, columns: ColumnMapping | None) -> CatalogueRow | BadRow:
        if row.values is None:
            return BadRow(file, row.number, row.reason)
        if columns is None and not self._overrides and _keeps_contract(row.values):
            return self._of_contract(file, row.number, row.values)
        try:
            columns = columns or ColumnMapping.recognise(row.values, self._overrides)
            event = event_of(row.values, columns, folder=file.parent, version=self._version)
        except (BadValue, InvalidInput) as error:
            return BadRow(file, row.number, str(error))
        return CatalogueRow(file, row.number, event, columns)

    def _recognise(self, file: Path, names: Sequence[str]) -> ColumnMapping:
        if self._columns is not None:
            return self._columns
        columns = ColumnMapping.recognise(names, self._overrides)
        if missing := [column for field in self._overrides for column in columns.fields[field] if column not in names]:
            raise InvalidInput(f"--map: {file} has no column {missing[0]}; it has {', '.join(names)}.")
        return columns

    def _of_contract(self, file: Path, number: int, event: Event) -> CatalogueRow | BadRow:
        if event.get("id") in (None, ""):
            return BadRow(file, number, "id is missing")
        if isinstance(images := event.get("images"), list):
            event["images"] = [resolve_image(url, file.parent) if isinstance(url, str) else url for url in images]
        fields = {name: value for name, value in event.items() if value is not None}
        return CatalogueRow(file, number, {"op": "put", "version": self._version} | fields)


@dataclass(frozen=True, slots=True)
class BackfillResult:
    """Events sent, rows refused, and by partition the offset after the last event."""

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
    """Publishes the catalogue, or its first `limit` rows. When it returns, the broker has acknowledged every event.

    `on_row` is called after each row, `on_bad` for each that became no event or is too large to send. Raises
    Unavailable if the broker is lost.
    """
    sent = refused = 0
    for row in islice(catalogue, limit):
        bad = row if isinstance(row, BadRow) else _send(publisher, row)
        if bad is None:
            sent += 1
        else:
            refused += 1
            on_bad(bad)
        on_row(row)
    return BackfillResult(sent, refused, publisher.flush())


def _send(publisher: Publisher, row: CatalogueRow) -> BadRow | None:
    try:
        publisher.send_event(row.event)
    except EventTooLarge as error:
        return BadRow(row.file, row.row, str(error))
    return None


def _keeps_contract(row: Event) -> bool:
    """Whether a JSON object already is an event of the data contract; otherwise it is a flat row."""
    return "op" in row or any(isinstance(row.get(name), dict) for name in ("attributes", "offer"))


def _files(path: Path) -> tuple[Mapping[Path, FileFormat], Sequence[Path]]:
    """The files to read, and those of the folder that are left out."""
    if path.is_dir():
        files = {file: kind for file in sorted(path.iterdir()) if (kind := format_of(file)) and file.is_file()}
        if not files:
            raise InvalidInput(
                f"There is no .parquet, .jsonl, .ndjson, .csv or .tsv file in {path}: name another folder, or a file."
            )
        separated = {file for file, kind in files.items() if isinstance(kind, SeparatedValues)}
        left_out = sorted(separated) if len(separated) < len(files) else []
        return {file: kind for file, kind in files.items() if file not in left_out}, left_out
    if not path.is_file():
        raise InvalidInput(f"There is no file or folder {path}: correct the path.")
    if (kind := format_of(path)) is None:
        raise InvalidInput(
            f"{path.name} is neither .parquet nor .jsonl, .ndjson, .csv or .tsv (these four also with .gz): convert it."
        )
    return {path: kind}, ()
