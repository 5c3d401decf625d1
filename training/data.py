"""Products to learn from: parquet or JSONL in, a split that cannot leak out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import Misuse

# A facet is an attribute a shopper may ask for. Columns of a parquet file that are none of them.
_PLUMBING = frozenset({"id", "title", "productDisplayName", "image", "pixel_sha1", "year", "masterCategory"})
# Nor these of what a drawn photo is known to show: a grey handle does not make a mug grey.
_PARTS = frozenset({"id", "view", "part", "part_colour"})
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


def _parquet(source: Path) -> list[Example]:
    import pyarrow.parquet as pq

    examples = []
    for row in pq.read_table(source).to_pylist():
        photo = row["image"] or b""
        examples.append(
            Example(
                id=str(row["id"]),
                title=row.get("productDisplayName") or row.get("title") or "",
                photo=photo,
                facets=_facets({k: v for k, v in row.items() if k not in _PLUMBING and v is not None}),
                pixels=row.get("pixel_sha1") or _digest(photo),
            )
        )
    return examples


def _jsonl(source: Path) -> list[Example]:
    beside = source.with_name("seen.jsonl")
    seen = {row["id"]: row for row in _lines(beside)} if beside.exists() else {}
    return [
        _example(event, seen.get(event["id"]) or event.get("seen") or {}, source.parent) for event in _lines(source)
    ]


def _lines(source: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]


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


def components(examples: Sequence[Example]) -> NDArray[np.int64]:
    """For each product the number of its component: products joined by a shared brand, title or photo."""
    parent = list(range(len(examples)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, example in enumerate(examples):
        marks = (("brand", example.brand), ("title", example.title.lower()), ("photo", example.pixels))
        for mark in marks:
            if mark[1]:
                parent[root(i)] = root(first.setdefault(mark, i))
    return np.array([root(i) for i in range(len(examples))], np.int64)


def split(examples: Sequence[Example], *, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices to train on and indices held back, at least `share` of all, by whole components."""
    component = components(examples)
    names = np.unique(component)
    np.random.default_rng(seed).shuffle(names)
    sizes = np.array([np.count_nonzero(component == name) for name in names])
    enough = int(np.searchsorted(np.cumsum(sizes), share * len(examples))) + 1
    held = np.isin(component, names[:enough])
    return np.flatnonzero(~held), np.flatnonzero(held)
