"""Features of photos and texts by the frozen backbones: computed once, cached in a folder, read as memory maps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.images import ImagePolicy, decode
from encoders.models.late_fusion import Backbones, digest
from encoders.towers.backbones import TEXT_DIM, TEXT_LAYERS
from encoders.towers.preprocessing import square
from encoders.towers.single_stream import TextInput

_BATCH = 64
Progress = Callable[[str, int, int], None]
"""Called with what is computed, the number done, and the total."""


@dataclass(frozen=True, slots=True)
class FeatureStates:
    """Concatenated token states of texts: `states` is float16 (tokens, TEXT_DIM), `ids` int32 (tokens,).

    Text i has the tokens from `starts[i]` to `starts[i + 1]`.
    """

    states: NDArray[np.float16]
    ids: NDArray[np.int32]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def tokens(self, row: int) -> list[int]:
        ids: list[int] = self.ids[self.starts[row] : self.starts[row + 1]].tolist()
        return ids

    def text(self, rows: NDArray[np.int64], present: NDArray[np.bool_] | None = None) -> TextInput:
        """These texts, padded, float32. A text that is not `present` has no tokens."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        if present is not None:
            lengths = np.where(present, lengths, 0)
        position = np.arange(lengths.max(initial=0))
        seen = position < lengths[:, None]
        states = np.zeros((*seen.shape, TEXT_DIM), np.float32)
        states[seen] = self.states[(self.starts[rows, None] + position)[seen]]
        return TextInput(torch.from_numpy(states), torch.from_numpy(seen))

    def means(self) -> NDArray[np.float32]:
        """The mean over each text's tokens, (texts, TEXT_DIM)."""
        total = np.add.reduceat(self.states.astype(np.float32), self.starts[:-1], axis=0)
        return (total / np.diff(self.starts)[:, None]).astype(np.float32)


def text_states(
    texts: Sequence[str], backbones: Backbones, *, cache: Path, layers: int = TEXT_LAYERS, on_progress: Progress
) -> FeatureStates:
    """States after the first `layers` layers of the text backbone. An empty text has [CLS] and [SEP] only."""
    name = _name("text", layers, backbones, (text.encode() for text in texts))
    tokens = [backbones.prepare(text, None, side=0).tokens for text in texts]
    starts = np.concatenate([[0], np.cumsum([len(text_tokens) for text_tokens in tokens])]).astype(np.int64)
    ids = np.array([token for text_tokens in tokens for token in text_tokens], np.int32)
    # Ordered by length to reduce padding.
    order = np.argsort(np.diff(starts), kind="stable")

    def fill(out: NDArray[Any]) -> None:
        for begin in range(0, len(order), _BATCH):
            rows = order[begin : begin + _BATCH]
            states, seen = backbones.states([tokens[row] for row in rows], layers)
            places = np.concatenate([np.arange(starts[row], starts[row + 1]) for row in rows])
            out[places] = states[seen].float().cpu().numpy()
            on_progress("texts", min(begin + _BATCH, len(order)), len(order))

    return FeatureStates(_cached(cache / f"{name}.npy", (len(ids), TEXT_DIM), np.float16, fill), ids, starts)


def photo_grids(
    photos: Sequence[bytes], backbones: Backbones, *, side: int, cache: Path, on_progress: Progress
) -> NDArray[Any]:
    """The output of `ImageTower.grid` for each photo, float16 (photos, features); zeros for an empty photo."""
    probe = backbones.image_tower.grid(torch.zeros(1, side, side, 3, dtype=torch.uint8, device=backbones.device))

    def fill(out: NDArray[Any]) -> None:
        for begin in range(0, len(photos), _BATCH):
            rows = [row for row in range(begin, min(begin + _BATCH, len(photos))) if photos[row]]
            if rows:
                pixels = torch.from_numpy(np.stack([_pixels(photos[row], side) for row in rows]))
                out[rows] = backbones.image_tower.grid(pixels.to(backbones.device)).cpu().numpy()
            on_progress("photos", min(begin + _BATCH, len(photos)), len(photos))

    name = _name("grid", side, backbones, photos)
    return _cached(cache / f"{name}.npy", (len(photos), probe.shape[1]), np.float16, fill)


def photo_pixels(
    photos: Sequence[bytes], backbones: Backbones, *, side: int, cache: Path, on_progress: Progress
) -> NDArray[Any]:
    """The pixels, uint8 (photos, side, side, 3), for an image tower that is trained; zeros for an empty photo."""

    def fill(out: NDArray[Any]) -> None:
        for row, photo in enumerate(photos):
            if photo:
                out[row] = _pixels(photo, side)
            on_progress("photos", row + 1, len(photos))

    name = _name("pixels", side, backbones, photos)
    return _cached(cache / f"{name}.npy", (len(photos), side, side, 3), np.uint8, fill)


def _pixels(photo: bytes, side: int) -> NDArray[np.uint8]:
    """The pixels as in serving: rotated by EXIF, transparency on white."""
    return square(decode(photo, ImagePolicy(), target=side), side)


def _name(kind: str, number: int, backbones: Backbones, inputs: Iterable[bytes]) -> str:
    """A file name that depends on the inputs, the backbones' weights and their precision."""
    content = hashlib.sha1(
        f"{kind} {number} {digest(*backbones.files)} {backbones.precision}".encode(), usedforsecurity=False
    )
    for data in inputs:
        content.update(hashlib.sha1(data, usedforsecurity=False).digest())
    return f"{kind}-{number}-{content.hexdigest()[:16]}"


def _cached(path: Path, shape: tuple[int, ...], dtype: Any, fill: Callable[[NDArray[Any]], None]) -> NDArray[Any]:
    """The array in this file. A missing file is filled and then renamed, so that an existing file is complete."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        out = np.lib.format.open_memmap(partial, "w+", dtype, shape)
        with torch.inference_mode():
            fill(out)
        out.flush()
        partial.rename(path)
    array: NDArray[Any] = np.load(path, mmap_mode="r" if 0 not in shape else None)
    return array
