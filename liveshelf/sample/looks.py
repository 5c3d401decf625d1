"""The visible traits of a photo: their words, and the colours of the words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.floating[Any]]

_HEX = {
    "white": "f1efea",
    "black": "2b2b2f",
    "grey": "8d9299",
    "red": "c33a35",
    "orange": "e2813a",
    "yellow": "e9bf45",
    "green": "4c8a57",
    "mint": "a5d3bd",
    "teal": "2a8388",
    "blue": "4a83c8",
    "navy": "2a3a63",
    "purple": "7d5aa0",
    "pink": "e59aae",
    "brown": "7c5238",
    "beige": "d3bc98",
}
COLOURS = tuple(_HEX)
PATTERNS = ("plain", "striped", "dotted", "checked", "floral", "zigzag", "stars", "hearts")
LIGHT = frozenset({"white", "yellow", "mint", "pink", "beige"})


@dataclass(frozen=True, slots=True)
class Look:
    """The look of an object: kind, shape, colour, pattern, and the colour of its contrasting part."""

    kind: str
    shape: str
    colour: str
    pattern: str
    part: str


@dataclass(frozen=True, slots=True)
class Spec:
    """One photo: its look, and the seed of all differences between two photos of the same object."""

    look: Look
    view: int


def rgb(name: str) -> Colour:
    """The colour of a name: float32, shape (3,), 0..1."""
    return np.array([int(_HEX[name][i : i + 2], 16) / 255 for i in (0, 2, 4)], np.float32)


def accent(colour: str, choice: float) -> Colour:
    """The ink of a pattern on this colour: dark on light, light on dark. `choice` is in 0..1."""
    names = ("navy", "red", "green", "black") if colour in LIGHT else ("white", "white", "yellow", "mint")
    return rgb(names[min(int(choice * len(names)), len(names) - 1)])
