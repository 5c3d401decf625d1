"""The interface of model families: inputs are prepared on the CPU, and forward passes run on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from catalog.domain.space import IMAGE, TITLE, Space
from catalog.ports import Vector

if TYPE_CHECKING:
    from PIL.Image import Image


Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Inputs:
    """One item or query as model inputs: token ids (empty without a text) and pixels (None without a photo).

    Pixels have the shape and dtype of the model that prepared them. `digest` identifies them ("" if it was not
    computed). `features` are the output of the model's image tower, if it is known already.
    """

    tokens: tuple[int, ...]
    pixels: NDArray[np.generic] | None
    digest: str = ""
    features: NDArray[np.float32] | None = None


class Model(Protocol):
    """Items and queries to vectors of one space. Any thread may call `prepare`; the forward methods belong to one."""

    @property
    def space(self) -> Space: ...

    @property
    def runs(self) -> str:
        """The runtime of its towers and the loss against the fastest, in a few words for people."""
        ...

    @property
    def photo_side(self) -> int:
        """The side in pixels to which photos are scaled. A decoder need not give larger ones."""
        ...

    def prepare(self, text: str, photo: Image | None) -> Inputs:
        """Tokenize the text and scale the photo. A blank text gives no tokens, unless there is no photo either."""
        ...

    def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
        """Each named vector, (batch, dim). Rows of `image` without photo and of `title` without tokens are ignored."""
        ...

    def forward_queries(self, batch: Sequence[Inputs]) -> Rows:
        """Fused vectors, (batch, dim)."""
        ...


@runtime_checkable
class SplitModel(Model, Protocol):
    """A model with a separate image tower. Its `forward_items` uses `Inputs.features` instead of running the tower."""

    def forward_photos(self, batch: Sequence[Inputs]) -> Rows:
        """The image tower's features of items that all have a photo, (batch, width)."""
        ...


def finish_items(outputs: Mapping[str, Rows], batch: Sequence[Inputs]) -> list[dict[str, Vector] | None]:
    """The L2-normalised vectors of each item, from `forward_items`; None if one of them is not finite."""
    rows = {name: to_vectors(output) for name, output in outputs.items()}
    vectors: list[dict[str, Vector] | None] = []
    for i, inputs in enumerate(batch):
        has_input = {IMAGE: inputs.pixels is not None, TITLE: bool(inputs.tokens)}
        item_vectors = {name: row[i] for name, row in rows.items() if has_input.get(name, True)}
        vectors.append(item_vectors if all(np.isfinite(vector).all() for vector in item_vectors.values()) else None)
    return vectors


def to_vectors(rows: Rows) -> Rows:
    """Rows (n, dim), each scaled to length one. A row of zeros becomes NaN."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        normalised: Rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return normalised
