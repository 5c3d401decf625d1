"""Products to learn from, out of parquet or JSONL."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from catalog.errors import InvalidInput

# Names of columns, the first that is filled is taken.
_ID = ("id", "sku", "product_id", "item_id")
_TITLE = ("productDisplayName", "title", "name", "product_name")
_IMAGES = ("images", "image", "image_path", "image_url", "photo")
# A facet is an attribute a shopper may ask for. Columns of a flat row that are none of them.
_PLUMBING = frozenset(
    {*_ID, *_TITLE, *_IMAGES, "pixel_sha1", "year", "masterCategory", "op", "tenant", "version", "offer", "attributes"}
    | {"seen", "price", "currency", "available"}
)
# Nor these of what a drawn photo is known to show: a grey handle does not make a mug grey.
_PARTS = frozenset({"id", "view", "part", "part_colour"})
_ROWS_AT_ONCE = 1024
_FETCHED = frozenset({"http", "https", "s3", "gs"})
_SAYS_NOTHING = frozenset({"", "na", "n/a", "none", "unknown"})


@dataclass(frozen=True, slots=True)
class Example:
    """One product: its title, the bytes of its photo (b"" without one), and what is true of it by facet."""

    id: str
    title: str
    photo: bytes
    facets: Mapping[str, str]
    pixels: str
    """A digest by which two identical photos are known."""

    unread: str = field(default="", compare=False)
    """Why a photo that the catalogue names is not there; empty where it names none, and where there is one."""

    @property
    def brand(self) -> str:
        """The brand, or else the first word of the title, which is where shops put it."""
        return self.facets.get("brand", (self.title.split() or [""])[0]).lower()


def read(source: Path) -> list[Example]:
    """The products of a parquet file or folder, or of a JSONL file or a folder with products.jsonl.

    Raises InvalidInput.
    """
    return list(stream(source))


def stream(source: Path) -> Iterator[Example]:
    """The same products, one after another: whoever keeps no photo needs no memory for them. Raises InvalidInput."""
    if source.is_dir() and (source / "products.jsonl").exists():
        return _jsonl(source / "products.jsonl")
    if source.suffix == ".jsonl" and source.exists():
        return _jsonl(source)
    if source.suffix == ".parquet" or (source.is_dir() and any(source.glob("*.parquet"))):
        return _parquet(source)
    raise InvalidInput(
        f"There is no catalogue at {source}: name a .parquet or .jsonl file, or a folder that holds one."
    )


def _facets(values: Mapping[str, object]) -> dict[str, str]:
    there = {k: v for k, v in values.items() if v is not None and not isinstance(v, dict | bytes)}
    said = {k: " ".join(map(str, v)) if isinstance(v, list | tuple) else str(v) for k, v in there.items()}
    return {k: v.strip() for k, v in said.items() if v.strip().lower() not in _SAYS_NOTHING}


def _parquet(source: Path) -> Iterator[Example]:
    import pyarrow
    import pyarrow.dataset as dataset

    folder = source if source.is_dir() else source.parent
    try:
        table = dataset.dataset(source, format="parquet")
    except pyarrow.ArrowInvalid as error:
        raise InvalidInput(f"{source} is not parquet: {error}.") from error
    for batch in table.to_batches(batch_size=_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            yield _example(row, {}, folder)


def _jsonl(source: Path) -> Iterator[Example]:
    beside = source.with_name("seen.jsonl")
    seen = {row["id"]: row for row in _lines(beside)} if beside.exists() else {}
    for row in _lines(source):
        if row.get("op", "put") == "put":
            yield _example(row, seen.get(row.get("id")) or row.get("seen") or {}, source.parent)


def _lines(source: Path) -> Iterator[dict[str, Any]]:
    with source.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig"))
            except ValueError as error:
                raise InvalidInput(f"{source.name} line {number} is not JSON in UTF-8 ({error}): mend it.") from None
            if not isinstance(row, dict):
                raise InvalidInput(f"{source.name} line {number} is not a JSON object: mend it.")
            yield row


def _example(row: Mapping[str, Any], seen: Mapping[str, object], folder: Path) -> Example:
    """A product of an event of the data contract, or of a flat row whose other columns are its facets."""
    name, title, photo = (_first(row, names) for names in (_ID, _TITLE, _IMAGES))
    if name is None or (isinstance(name, str) and not name.strip()):
        raise InvalidInput(f"A product of {folder} has no id: name the column of it {' or '.join(_ID)}, and fill it.")
    nested = row.get("attributes")
    facets = nested if isinstance(nested, dict) else {k: v for k, v in row.items() if k not in _PLUMBING}
    shown = {k: v for k, v in seen.items() if k not in _PARTS}
    pixels, unread = _photo(photo, folder)
    return Example(
        id=str(name).strip(),
        title=str(title or ""),
        photo=pixels,
        facets=_facets({**facets, **shown}),
        pixels=row.get("pixel_sha1") or _digest(pixels),
        unread=unread,
    )


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _photo(named: Any, folder: Path) -> tuple[bytes, str]:
    """The first photo that is at hand: bytes, a data: URL, or a file beside the catalogue. Nothing is fetched.

    Without one, why not: empty where none is named.
    """
    reason = ""
    for one in named if isinstance(named, list | tuple) else (named,):
        photo, why = _bytes(one, folder)
        if photo:
            return photo, ""
        reason = reason or why
    return b"", reason


def _bytes(photo: Any, folder: Path) -> tuple[bytes, str]:
    if isinstance(photo, dict):  # as Hugging Face's datasets keep images: the bytes, or else the path
        return _bytes(photo.get("bytes") or photo.get("path"), folder)
    if isinstance(photo, bytes):
        return photo, ""
    if not isinstance(photo, str) or not photo.strip():
        return b"", ""
    scheme = urlsplit(photo).scheme
    if scheme == "data":
        try:
            return base64.b64decode(photo.partition(",")[2], validate=True), ""
        except binascii.Error:
            return b"", "the data: URL is not base64"
    if scheme in _FETCHED:
        return b"", f"{scheme}: addresses are not fetched, put the files beside the catalogue and name them"
    file = folder / (unquote(urlsplit(photo).path) if scheme == "file" else photo)
    if not os.path.isfile(file):
        return b"", f"there is no such file in {folder}"
    found = file.read_bytes()
    return found, "" if found else "the file is empty"


def _digest(photo: bytes) -> str:
    return hashlib.sha1(photo, usedforsecurity=False).hexdigest() if photo else ""
