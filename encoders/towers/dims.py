"""The sizes of the backbones and of the towers trained on them, without an import of torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from catalog.errors import InvalidInput

TEXT_DIM = 384
TEXT_LAYERS = 6

# (repeats, kernel, stride, expansion, channels) of each stage of the image backbone.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
HEAD = 1280
# Early stages show colour and texture, late ones the kind of object: the pooled features keep both.
TAPS = (0, 1, 2, 4, 6)
CHANNELS = tuple(STAGES[tap][4] for tap in TAPS)
IMAGE_DIM = 2 * sum(CHANNELS) + HEAD
# A cell of the grid keeps the same, except the deviation of the last stage, which has one pixel in a cell.
CELL_DIM = IMAGE_DIM - STAGES[6][4] - HEAD
WHOLE_DIM = HEAD
STRIDE = 32
"""The side of a grid cell in pixels of the photo."""


@dataclass(frozen=True, slots=True)
class TowerShape:
    """The sizes of the towers, and the side in pixels of the photos in their training."""

    dim: int = 256
    width: int = 256
    layers: int = 2
    heads: int = 4
    expansion: int = 4
    dropout: float = 0.0
    photo_side: int = 128
    images: int = 4
    """The number of photos of one product with their own position; further ones share the last."""

    text_layers: int = 0
    """The number of last layers of the text backbone that are trained; the others stay frozen."""

    shared: bool = True
    """Queries and titles share their layers; otherwise queries have text layers and a head of their own."""

    late: bool = False
    """For comparison: no stream, but a head for titles, one for photos and a gate between them."""

    image_tower: bool = False
    """The image backbone is trained too, and stored with the model."""

    @property
    def cells(self) -> int:
        return (self.photo_side // STRIDE) ** 2

    @property
    def features(self) -> int:
        """The length of the image tower's features of a photo."""
        return self.cells * CELL_DIM + WHOLE_DIM


def shape_of(checkpoint: Path) -> TowerShape:
    """The shape of the towers in a file of `towers.single_stream.save`. Raises InvalidInput."""
    try:
        with safe_open(checkpoint, framework="np") as file:
            return TowerShape(**json.loads(file.metadata()["shape"]))
    except FileNotFoundError as err:
        raise InvalidInput(f"There is no checkpoint at {checkpoint}: train one with `liveshelf train`.") from err
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as err:
        raise InvalidInput(
            f"{checkpoint} is not a checkpoint of this version: train one with `liveshelf train`."
        ) from err
