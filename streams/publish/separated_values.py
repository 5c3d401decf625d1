"""Catalogue files of separated values: CSV and TSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from catalog.errors import InvalidInput
from streams.publish.raw_rows import RawRow, open_bytes

FIELD_CHARS = 8 * 1024 * 1024  # of one field; a larger event could not be sent


class SeparatedValues:
    """CSV or TSV in UTF-8 with a header row. Fields may be quoted; an empty field is an absent value."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter

    def columns(self, file: Path) -> Sequence[str]:
        with _text(file) as text:
            return self._header(file, self._records(text))

    def count(self, file: Path) -> int:
        with _text(file) as text:
            return max(0, sum(1 for _ in self._records(text)) - 1)

    def rows(self, file: Path) -> Iterator[RawRow]:
        with _text(file) as text:
            records = self._records(text)
            header = self._header(file, records)
            for number, fields in records:
                yield self._row(number, fields, header)

    def _row(self, number: int, fields: list[str] | str, header: Sequence[str]) -> RawRow:
        if isinstance(fields, str):
            return RawRow(number, reason=fields)
        if len(fields) != len(header):
            return RawRow(number, reason=f"it has {len(fields)} columns, and the header has {len(header)}")
        return RawRow(number, {name: value for name, value in zip(header, fields, strict=True) if name and value})

    def _header(self, file: Path, records: Iterator[tuple[int, list[str] | str]]) -> Sequence[str]:
        _, header = next(records, (1, "there is none"))
        if isinstance(header, str):
            raise InvalidInput(f"The header of {file} cannot be read: {header}.")
        names = [name.strip() for name in header]
        if twice := next((name for name in names if name and names.count(name) > 1), None):
            raise InvalidInput(f"{file} has two columns named {twice}: rename one.")
        if len(names) == 1 and ";" in names[0]:
            raise InvalidInput(f"The columns of {file} are separated by semicolons: save it with commas or tabs.")
        return names

    def _records(self, text: IO[str]) -> Iterator[tuple[int, list[str] | str]]:
        """Line and fields of each record that is not blank, the header first; a reason in place of bad fields."""
        csv.field_size_limit(FIELD_CHARS)  # of the whole process, which reads no other CSV meanwhile
        reader = csv.reader(text, delimiter=self._delimiter, strict=True)
        while True:
            number = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield number, f"not {'CSV' if self._delimiter == ',' else 'TSV'}: {error}"
                continue
            if fields:
                yield number, fields if all(map(_is_utf8, fields)) else "not UTF-8"


def _is_utf8(field: str) -> bool:
    """Whether the field's bytes were UTF-8; those that were not are surrogates in it."""
    try:
        field.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _text(file: Path) -> Iterator[IO[str]]:
    """A file as text. Bytes that are not UTF-8 become surrogates, and a byte order mark is dropped."""
    with (
        open_bytes(file) as lines,
        io.TextIOWrapper(lines, "utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        yield text
