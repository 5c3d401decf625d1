"""The sample catalogue as a folder: products.jsonl, seen.jsonl, images/ and a stamp that marks it complete."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from catalog.errors import InvalidInput
from liveshelf.sample.kinds import KINDS
from liveshelf.sample.looks import COLOURS, Look, Spec
from liveshelf.sample.scene import photo
from liveshelf.sample.stock import VIEWS, SampleProduct, some_look, stock
from resilience.atomic_files import is_temporary, write_atomically

DRAWING = 3  # increased if the same seed draws other products or photos
PRODUCTS, SEEN, IMAGES, STAMP = "products.jsonl", "seen.jsonl", "images", "complete"
QUALITY = 88
CHUNK = 20  # photos a worker draws between two progress reports; fewer than two chunks start no workers

Progress = Callable[[int, int], None]


def draw(folder: Path, *, count: int = 2400, seed: int = 7, progress: Progress | None = None) -> Path:
    """Draw the catalogue into `folder` and return the path of its products.jsonl.

    Returns at once if the folder already has this catalogue. Redraws an incomplete catalogue, or one of another seed.
    Calls `progress` with the number of finished photos and the total. Raises InvalidInput if the folder has
    other files.
    """
    products = folder / PRODUCTS
    stamp = json.dumps({"drawing": DRAWING, "count": count, "seed": seed}) + "\n"
    if _read(folder / STAMP) == stamp:
        return products
    _clear(folder)
    items = stock(count, seed)
    for number, done in enumerate(_photos(items, folder / IMAGES)):
        if progress is not None:
            progress(min((number + 1) * done, count), count)
    _write(folder / SEEN, (item.seen for item in items))
    _write(products, (item.event for item in items))
    write_atomically(folder / STAMP, stamp)
    return products


def jpeg(image: Image.Image) -> bytes:
    """A photo as a JPEG file of the catalogue."""
    out = BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def seen(folder: Path) -> dict[str, Spec]:
    """The content of each product's photo, by product id.

    Raises InvalidInput if the catalogue is not drawn.
    """
    text = _read(folder / SEEN)
    if text is None:
        raise InvalidInput(
            f"there is no sample catalogue in {folder}: draw it with python -m liveshelf.sample {folder}"
        )
    rows = (json.loads(line) for line in text.splitlines())
    return {row["id"]: _spec(row) for row in rows}


def redraw(product_id: str, folder: Path, *, view: int | None = None, **changes: str) -> bytes:
    """A new photo of a product of the catalogue, as JPEG.

    `changes` sets another `shape`, `colour`, `pattern` or `part` (the colour of its part). `view` is the seed of
    another view, None for the same view. Raises InvalidInput for an unknown product or look.
    """
    specs = seen(folder)
    if product_id not in specs:
        raise InvalidInput(f"the sample catalogue has no product {product_id!r}: its ids are in {folder / SEEN}")
    spec = specs[product_id]
    look = replace(spec.look, **changes)
    _check(look)
    return jpeg(photo(Spec(look, spec.view if view is None else view)))


def unseen(folder: Path, kind: str, seed: int) -> Spec:
    """A photo for a query: an object of this kind whose look no product of the catalogue has."""
    if kind not in KINDS:
        raise InvalidInput(f"there is no kind {kind!r}: use one of {', '.join(KINDS)}")
    rng = np.random.default_rng([seed, 23])
    look = some_look(kind, rng, other_than={spec.look for spec in seen(folder).values()})
    return Spec(look, int(rng.integers(VIEWS)))


def _spec(row: Mapping[str, str]) -> Spec:
    look = Look(row["kind"], row["shape"], row["colour"], row["pattern"], row["part_colour"])
    return Spec(look, int(row["view"]))


def _check(look: Look) -> None:
    kind = KINDS[look.kind]
    fields = (("shape", kind.shapes), ("colour", COLOURS), ("pattern", kind.patterns), ("part", COLOURS))
    for name, allowed in fields:
        if getattr(look, name) not in allowed:
            raise InvalidInput(f"a {look.kind} has no {name} {getattr(look, name)!r}: use one of {', '.join(allowed)}")


def _photos(items: Sequence[SampleProduct], folder: Path) -> Iterator[int]:
    """Draw every photo; yields the size of a chunk after each chunk."""
    work = partial(_draw_chunk, folder)
    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    workers = min(os.cpu_count() or 1, len(chunks) // 2)
    if workers < 2:
        yield from map(work, chunks)
        return
    # Spawn new interpreters: a fork would copy locks that the caller's threads hold.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, chunks)


def _draw_chunk(folder: Path, items: Sequence[SampleProduct]) -> int:
    for item in items:
        (folder / f"{item.id}.jpg").write_bytes(jpeg(photo(item.spec)))
    return CHUNK


def _clear(folder: Path) -> None:
    """Remove the files of an earlier drawing, the stamp first. Raises InvalidInput if there are other files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in (STAMP, PRODUCTS, SEEN)]
    leftovers = [path for path in folder.iterdir() if any(is_temporary(path, file) for file in files)]
    foreign = set(folder.iterdir()) - {*files, *leftovers, folder / IMAGES}
    if foreign:
        raise InvalidInput(
            f"{folder} has {min(foreign).name}, which is not part of a sample catalogue: name an empty folder"
        )
    for path in (*files, *leftovers):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / IMAGES, ignore_errors=True)
    (folder / IMAGES).mkdir()


def _write(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    write_atomically(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
