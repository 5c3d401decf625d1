"""What the frozen backbones say of every photo and text: computed once, kept in a folder, read back as a memmap."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from encoders.preprocessing import square

Features = NDArray[np.float16]
_BATCH = 64


def image_features(
    photos: Sequence[bytes], *, size: int, tower: Callable[[torch.Tensor], torch.Tensor], cache: Path, mark: str
) -> Features:
    """(products, dim) float16, zeros where there is no photo. `mark` names the tower's weights in the cache."""
    name = hashlib.sha1(f"{mark} {size}".encode(), usedforsecurity=False)
    for photo in photos:
        name.update(hashlib.sha1(photo, usedforsecurity=False).digest())

    def rows(start: int) -> NDArray[np.float32]:
        some = photos[start : start + _BATCH]
        there = [i for i, photo in enumerate(some) if photo]
        pixels = np.zeros((len(some), size, size, 3), np.uint8)
        for i in there:
            pixels[i] = square(Image.open(io.BytesIO(some[i])), size)
        with torch.inference_mode():
            found = tower(torch.from_numpy(pixels)).float().numpy()
        found[[not photo for photo in some]] = 0
        return found

    return _cached(cache / f"image-{size}-{name.hexdigest()[:12]}.npy", len(photos), rows)


def text_features(
    texts: Sequence[str], *, encode: Callable[[Sequence[str]], torch.Tensor], cache: Path, mark: str
) -> Features:
    """(texts, dim) float16, in order. Sorted by length inside, so that little of a batch is padding."""
    order = np.argsort([len(text) for text in texts], kind="stable")
    name = hashlib.sha1("\0".join((mark, *texts)).encode(), usedforsecurity=False)

    def rows(start: int) -> NDArray[np.float32]:
        with torch.inference_mode():
            return encode([texts[i] for i in order[start : start + _BATCH]]).float().numpy()

    found = _cached(cache / f"text-{name.hexdigest()[:12]}.npy", len(texts), rows)
    back = np.empty_like(found)
    back[order] = found
    return back


def _cached(path: Path, count: int, rows: Callable[[int], NDArray[np.float32]]) -> Features:
    if path.exists():
        return _memmap(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npy")
    out: np.memmap[Any, np.dtype[np.float16]] | None = None
    for start in range(0, count, _BATCH):
        found = rows(start)
        if out is None:
            out = np.lib.format.open_memmap(partial, "w+", np.float16, (count, found.shape[1]))
        out[start : start + len(found)] = found
    if out is None:
        return np.zeros((0, 0), np.float16)
    out.flush()
    partial.rename(path)
    return _memmap(path)


def _memmap(path: Path) -> Features:
    found: Features = np.load(path, mmap_mode="r")
    return found
