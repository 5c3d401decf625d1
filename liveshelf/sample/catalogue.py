"""The sample catalogue as a folder: products.jsonl, seen.jsonl, images/ and a stamp that marks it complete."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
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
COUNT, SEED = 2400, 7
PRODUCTS, SEEN, IMAGES = "products.jsonl", "seen.jsonl", "images"
STAMP, UNFINISHED = "complete", "unfinished"  # files that name the drawing
QUALITY = 88
CHUNK = 20  # photos a process draws before it reports; for less than two chunks, no process is started

Progress = Callable[[int, int], None]


def draw(folder: Path, *, count: int = COUNT, seed: int = SEED, progress: Progress | None = None) -> Path:
    """Draw the catalogue into `folder` and return the path of its products.jsonl.

    Returns at once if the folder holds this catalogue. A drawing that was interrupted continues with the photos that
    are missing; a drawing of another seed or count is replaced. `progress` gets the number of photos drawn, and of all
    photos. Raises InvalidInput for a folder that holds something else.
    """
    products, stamp = folder / PRODUCTS, _stamp(count, seed)
    if is_drawn(folder, count=count, seed=seed):
        return products
    items = stock(count, seed)
    _clear(folder, keep={f"{item.id}.jpg" for item in items} if _read(folder / UNFINISHED) == stamp else set())
    write_atomically(folder / UNFINISHED, stamp)
    missing = [item for item in items if not (folder / IMAGES / f"{item.id}.jpg").exists()]
    drawn = count - len(missing)
    for size in (0, *_photos(missing, folder / IMAGES)):
        drawn += size
        if progress is not None:
            progress(drawn, count)
    _write(folder / SEEN, (item.seen for item in items))
    _write(products, (item.event for item in items))
    write_atomically(folder / STAMP, stamp)
    (folder / UNFINISHED).unlink()
    return products


def is_drawn(folder: Path, *, count: int = COUNT, seed: int = SEED) -> bool:
    """Whether the folder holds this catalogue, complete."""
    return _read(folder / STAMP) == _stamp(count, seed)


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


def _stamp(count: int, seed: int) -> str:
    return json.dumps({"drawing": DRAWING, "count": count, "seed": seed}) + "\n"


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
    """Draw the photos in several processes; yields the size of each chunk when it is drawn."""
    work = partial(_draw_chunk, folder)
    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    workers = min(os.cpu_count() or 1, len(chunks) // 2)
    if workers < 2:
        yield from map(work, chunks)
        return
    # New interpreters, because a fork would copy locks that the caller's threads hold.
    # Ctrl-C reaches them too, and only this process should answer it.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=signal.signal, initargs=ignore
    ) as pool:
        yield from pool.map(work, chunks)


def _draw_chunk(folder: Path, items: Sequence[SampleProduct]) -> int:
    for item in items:
        write_atomically(folder / f"{item.id}.jpg", jpeg(photo(item.spec)), fsync=False)
    return len(items)


def _clear(folder: Path, keep: Container[str]) -> None:
    """Remove an earlier drawing, its stamp first, but for photos of the names to keep."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / name for name in (STAMP, UNFINISHED, PRODUCTS, SEEN)]
    leftovers = [path for path in folder.iterdir() if any(is_temporary(path, file) for file in files)]
    foreign = set(folder.iterdir()) - {*files, *leftovers, folder / IMAGES}
    if foreign:
        raise InvalidInput(
            f"{folder} has {min(foreign).name}, which is not part of a sample catalogue: name an empty folder"
        )
    for path in (*files, *leftovers):
        path.unlink(missing_ok=True)
    (folder / IMAGES).mkdir(exist_ok=True)
    for path in (folder / IMAGES).iterdir():
        if path.name not in keep:
            path.unlink()


def _write(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    write_atomically(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
