"""Training products, read from parquet or JSONL."""

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

# Column names; the first that has a value is used.
_ID = ("id", "sku", "product_id", "item_id")
_TITLE = ("productDisplayName", "title", "name", "product_name")
_IMAGES = ("images", "image", "image_path", "image_url", "photo")
# Columns of a flat row that are not facets. A facet is an attribute that a shopper may search for.
_NOT_FACETS = frozenset(
    {*_ID, *_TITLE, *_IMAGES, "pixel_sha1", "year", "masterCategory", "op", "tenant", "version", "offer", "attributes"}
    | {"seen", "price", "currency", "available"}
)
# Keys of a sample photo that are not facets either: a grey handle does not make a mug grey.
_PART_KEYS = frozenset({"id", "view", "part", "part_colour"})
_BATCH_ROWS = 1024
_REMOTE_SCHEMES = frozenset({"http", "https", "s3", "gs"})
_EMPTY_VALUES = frozenset({"", "na", "n/a", "none", "unknown"})


@dataclass(frozen=True, slots=True)
class Example:
    """One product: its title, its photo's bytes (b"" without a photo), and its facets."""

    id: str
    title: str
    photo: bytes
    facets: Mapping[str, str]
    pixels: str
    """A digest that identical photos share; empty without a photo."""

    unread: str = field(default="", compare=False)
    """Why the photo that the catalogue names was not read; empty if there is a photo or none is named."""

    @property
    def brand(self) -> str:
        """The brand, or the first word of the title, where shops usually put it."""
        return self.facets.get("brand", (self.title.split() or [""])[0]).lower()


def read(source: Path) -> list[Example]:
    """Read a parquet file or folder, a JSONL file, or a folder with products.jsonl. Raises InvalidInput."""
    return list(stream(source))


def stream(source: Path) -> Iterator[Example]:
    """Yield the same products one by one, so that photos need not stay in memory. Raises InvalidInput."""
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
    scalars = {k: v for k, v in values.items() if v is not None and not isinstance(v, dict | bytes)}
    texts = {k: " ".join(map(str, v)) if isinstance(v, list | tuple) else str(v) for k, v in scalars.items()}
    return {k: v.strip() for k, v in texts.items() if v.strip().lower() not in _EMPTY_VALUES}


def _parquet(source: Path) -> Iterator[Example]:
    import pyarrow
    import pyarrow.dataset as dataset

    folder = source if source.is_dir() else source.parent
    try:
        table = dataset.dataset(source, format="parquet")
    except pyarrow.ArrowInvalid as error:
        raise InvalidInput(f"{source} is not parquet: {error}.") from error
    for batch in table.to_batches(batch_size=_BATCH_ROWS):
        for row in batch.to_pylist():
            yield _example(row, {}, folder)


def _jsonl(source: Path) -> Iterator[Example]:
    seen_file = source.with_name("seen.jsonl")
    seen = {row["id"]: row for row in _lines(seen_file)} if seen_file.exists() else {}
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
                raise InvalidInput(f"{source.name} line {number} is not JSON in UTF-8 ({error}): correct it.") from None
            if not isinstance(row, dict):
                raise InvalidInput(f"{source.name} line {number} is not a JSON object: correct it.")
            yield row


def _example(row: Mapping[str, Any], seen: Mapping[str, object], folder: Path) -> Example:
    """A product from an event of the data contract, or from a flat row whose other columns are facets."""
    name, title, photo = (_first(row, names) for names in (_ID, _TITLE, _IMAGES))
    if name is None or (isinstance(name, str) and not name.strip()):
        raise InvalidInput(f"A product of {folder} has no id: name its column {' or '.join(_ID)}, and fill it.")
    nested = row.get("attributes")
    facets = nested if isinstance(nested, dict) else {k: v for k, v in row.items() if k not in _NOT_FACETS}
    visible = {k: v for k, v in seen.items() if k not in _PART_KEYS}
    pixels, unread = _photo(photo, folder)
    return Example(
        id=str(name).strip(),
        title=str(title or ""),
        photo=pixels,
        facets=_facets({**facets, **visible}),
        pixels=row.get("pixel_sha1") or _digest(pixels),
        unread=unread,
    )


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _photo(named: Any, folder: Path) -> tuple[bytes, str]:
    """The first readable photo: bytes, a data: URL, or a file relative to the catalogue. Nothing is fetched.

    Without one, the second value is the reason; it is empty if no photo is named.
    """
    reason = ""
    for source in named if isinstance(named, list | tuple) else (named,):
        photo, problem = _bytes(source, folder)
        if photo:
            return photo, ""
        reason = reason or problem
    return b"", reason


def _bytes(photo: Any, folder: Path) -> tuple[bytes, str]:
    if isinstance(photo, dict):  # an image of a Hugging Face dataset
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
    if scheme in _REMOTE_SCHEMES:
        return b"", f"{scheme}: addresses are not fetched, put the files next to the catalogue and name them"
    file = folder / (unquote(urlsplit(photo).path) if scheme == "file" else photo)
    if not os.path.isfile(file):
        return b"", f"there is no such file in {folder}"
    data = file.read_bytes()
    return data, "" if data else "the file is empty"


def _digest(photo: bytes) -> str:
    return hashlib.sha1(photo, usedforsecurity=False).hexdigest() if photo else ""
