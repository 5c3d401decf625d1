"""The sample catalogue as a folder: products.jsonl, seen.jsonl, images/ and a stamp that says it is whole."""

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

DRAWING = 3  # raised whenever the same seed gives other products or photos than before
PRODUCTS, SEEN, IMAGES, STAMP = "products.jsonl", "seen.jsonl", "images", "complete"
QUALITY = 88
CHUNK = 20  # photos a worker draws between two words of progress; below two of these, no workers are started

Progress = Callable[[int, int], None]


def draw(folder: Path, *, count: int = 2400, seed: int = 7, progress: Progress | None = None) -> Path:
    """Draw the catalogue into `folder` and return the path of its products.jsonl.

    At once when the folder already holds the very same catalogue; what is half drawn or of another seed is drawn anew.
    `progress` is told how many photos are done, and of how many. Raises InvalidInput for a folder that holds something
    else.
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
    """The file the catalogue would hold of a photo."""
    out = BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def seen(folder: Path) -> dict[str, Spec]:
    """What the photo of each product of a drawn catalogue shows, by product id.

    Raises InvalidInput if it is not drawn.
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

    `changes` are another `shape`, `colour`, `pattern` or `part` (the colour of its part); `view` is the seed of another
    shot of it, the same as before if None. Raises InvalidInput for an unknown product or look.
    """
    known = seen(folder)
    if product_id not in known:
        raise InvalidInput(f"the sample catalogue has no product {product_id!r}: its ids are in {folder / SEEN}")
    spec = known[product_id]
    look = replace(spec.look, **changes)
    _check(look)
    return jpeg(photo(Spec(look, spec.view if view is None else view)))


def unseen(folder: Path, kind: str, seed: int) -> Spec:
    """A photo for a query: a thing of this kind whose look no product of the catalogue has."""
    if kind not in KINDS:
        raise InvalidInput(f"there is no kind {kind!r}: the kinds are {', '.join(KINDS)}")
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
            raise InvalidInput(f"a {look.kind} has no {name} {getattr(look, name)!r}: there is {', '.join(allowed)}")


def _photos(items: Sequence[SampleProduct], folder: Path) -> Iterator[int]:
    """Draw every photo; yields the size of a chunk after each."""
    work = partial(_draw_chunk, folder)
    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    workers = min(os.cpu_count() or 1, len(chunks) // 2)
    if workers < 2:
        yield from map(work, chunks)
        return
    # Fresh interpreters: a fork would copy the threads' locks of whoever calls.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, chunks)


def _draw_chunk(folder: Path, items: Sequence[SampleProduct]) -> int:
    for item in items:
        (folder / f"{item.id}.jpg").write_bytes(jpeg(photo(item.spec)))
    return CHUNK


def _clear(folder: Path) -> None:
    """Make room, taking away only what a drawing leaves behind; the stamp goes first."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in (STAMP, PRODUCTS, SEEN)]
    leftovers = [path for path in folder.iterdir() if any(is_temporary(path, file) for file in files)]
    strange = set(folder.iterdir()) - {*files, *leftovers, folder / IMAGES}
    if strange:
        raise InvalidInput(
            f"{folder} holds {min(strange).name}, which is no part of a sample catalogue: name an empty folder"
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
