"""Products to learn from, out of parquet or JSONL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.errors import Misuse

# A facet is an attribute a shopper may ask for. Columns of a parquet file that are none of them.
_PLUMBING = frozenset({"id", "title", "productDisplayName", "image", "pixel_sha1", "year", "masterCategory"})
# Nor these of what a drawn photo is known to show: a grey handle does not make a mug grey.
_PARTS = frozenset({"id", "view", "part", "part_colour"})
_ROWS_AT_ONCE = 1024
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

    @property
    def brand(self) -> str:
        """The brand, or else the first word of the title, which is where shops put it."""
        return self.facets.get("brand", (self.title.split() or [""])[0]).lower()


def read(source: Path) -> list[Example]:
    """The products of a parquet file or folder, or of a JSONL file or a folder with products.jsonl. Raises Misuse."""
    return list(stream(source))


def stream(source: Path) -> Iterator[Example]:
    """The same products, one after another: whoever keeps no photo needs no memory for them. Raises Misuse."""
    if source.is_dir() and (source / "products.jsonl").exists():
        return _jsonl(source / "products.jsonl")
    if source.suffix == ".jsonl" and source.exists():
        return _jsonl(source)
    if source.suffix == ".parquet" or (source.is_dir() and any(source.glob("*.parquet"))):
        return _parquet(source)
    raise Misuse(f"There is no catalogue at {source}: name a .parquet or .jsonl file, or a folder that holds one.")


def _facets(values: Mapping[str, object]) -> dict[str, str]:
    said = {k: " ".join(map(str, v)) if isinstance(v, list | tuple) else str(v) for k, v in values.items()}
    return {k: v.strip() for k, v in said.items() if v.strip().lower() not in _SAYS_NOTHING}


def _parquet(source: Path) -> Iterator[Example]:
    import pyarrow.dataset as dataset

    for batch in dataset.dataset(source, format="parquet").to_batches(batch_size=_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            photo = row["image"] or b""
            yield Example(
                id=str(row["id"]),
                title=row.get("productDisplayName") or row.get("title") or "",
                photo=photo,
                facets=_facets({k: v for k, v in row.items() if k not in _PLUMBING and v is not None}),
                pixels=row.get("pixel_sha1") or _digest(photo),
            )


def _jsonl(source: Path) -> Iterator[Example]:
    beside = source.with_name("seen.jsonl")
    seen = {row["id"]: row for row in _lines(beside)} if beside.exists() else {}
    for event in _lines(source):
        yield _example(event, seen.get(event["id"]) or event.get("seen") or {}, source.parent)


def _lines(source: Path) -> Iterator[dict[str, Any]]:
    with source.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _example(event: Mapping[str, Any], seen: Mapping[str, object], folder: Path) -> Example:
    images = event.get("images") or []
    # Only photos that lie beside the file: training fetches nothing.
    file = folder / images[0].removeprefix("file://") if images else None
    photo = file.read_bytes() if file is not None and file.is_file() else b""
    shown = {k: v for k, v in seen.items() if k not in _PARTS}
    return Example(
        id=str(event["id"]),
        title=event.get("title") or "",
        photo=photo,
        facets=_facets({**(event.get("attributes") or {}), **shown}),
        pixels=_digest(photo),
    )


def _digest(photo: bytes) -> str:
    return hashlib.sha1(photo, usedforsecurity=False).hexdigest() if photo else ""
