"""What every model family offers: prepare on the CPU, forward on the device, finish in numpy."""

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
    """One item or query as a model reads it: token ids (empty for no text), pixels (None for no photo).

    Pixels have the shape and dtype the model that made them wants. `digest` names them ("" where nobody asked), and
    `features` are what the model's image tower made of them, where that is known already.
    """

    tokens: tuple[int, ...]
    pixels: NDArray[np.generic] | None
    digest: str = ""
    features: NDArray[np.float32] | None = None


class Model(Protocol):
    """Items and queries to vectors of one space. `prepare` may run in any thread, the forwards in one alone."""

    @property
    def space(self) -> Space: ...

    @property
    def runs(self) -> str:
        """What runs its towers, and what that loses, in a few words for people."""
        ...

    @property
    def photo_side(self) -> int:
        """The side in pixels that photos are scaled to, so that a decoder need not give more."""
        ...

    def prepare(self, text: str, photo: Image | None) -> Inputs:
        """Tokenize and scale. Blank text is no text, unless there is no photo either."""
        ...

    def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
        """Each named vector, (batch, dim). What stands in `image` without a photo, and in `title`
        without tokens, is ignored.
        """
        ...

    def forward_queries(self, batch: Sequence[Inputs]) -> Rows:
        """Fused vectors, (batch, dim)."""
        ...


@runtime_checkable
class SplitModel(Model, Protocol):
    """A model in which photos pass a tower of their own; its `forward_items` takes `Inputs.features` where they are."""

    def forward_photos(self, batch: Sequence[Inputs]) -> Rows:
        """The image tower's features of items that all have a photo, (batch, width)."""
        ...


def finish_items(found: Mapping[str, Rows], batch: Sequence[Inputs]) -> list[dict[str, Vector] | None]:
    """What a forward made to each item's vectors, L2-normalised; None where one is not finite."""
    rows = {name: to_vectors(made) for name, made in found.items()}
    finished: list[dict[str, Vector] | None] = []
    for i, inputs in enumerate(batch):
        there = {IMAGE: inputs.pixels is not None, TITLE: bool(inputs.tokens)}
        named = {name: row[i] for name, row in rows.items() if there.get(name, True)}
        finished.append(named if all(np.isfinite(vector).all() for vector in named.values()) else None)
    return finished


def to_vectors(found: Rows) -> Rows:
    """Rows (n, dim) at length one; a row that has no direction becomes NaN."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        normalised: Rows = found / np.linalg.norm(found, axis=1, keepdims=True)
    return normalised
