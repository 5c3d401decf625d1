"""What readers of catalogue files share: a row as it is in the file, and files that gzip compressed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from catalog.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row by column name, or why it cannot be read.

    `number` counts from 1: rows of parquet, lines of text. It is the first line of a CSV record.
    """

    number: int
    values: dict[str, Any] | None = None
    reason: str = ""


@contextmanager
def open_bytes(file: Path) -> Iterator[IO[bytes]]:
    """The bytes of a text file, decompressed. Raises InvalidInput for a damaged gzip file."""
    if not file.name.lower().endswith(".gz"):
        with file.open("rb") as lines:
            yield lines
        return
    try:
        with gzip.open(file, "rb") as lines:
            yield cast(IO[bytes], lines)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidInput(f"{file} is not a complete gzip file ({error}): compress it again.") from error
