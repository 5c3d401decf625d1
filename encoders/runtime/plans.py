"""The plans of the towers of this project's model families. Torch is imported only if a plan's reference is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from encoders.runtime.digest import code_digest, digest
from encoders.runtime.tower import Array, TowerPlan
from encoders.towers.dims import TEXT_DIM, TEXT_LAYERS, TowerShape

if TYPE_CHECKING:
    import torch
    from torch import nn

# The modules that define what a tower computes. A change of one of them invalidates the exports.
BACKBONE_MODULES = (__name__, "encoders.towers.dims", "encoders.towers.backbones", "encoders.runtime.export_modules")
STREAM_MODULES = (*BACKBONE_MODULES, "encoders.towers.single_stream")

_MASK = np.array([[True] * 9, [True] * 5 + [False] * 4])


def text_plan(minilm: Path, layers: int = TEXT_LAYERS) -> TowerPlan:
    """Token ids and their mask to states: `TextTower.states` after the first `layers` layers."""

    def reference(precision: torch.dtype) -> nn.Module:
        from encoders.runtime.export_modules import states

        return states(minilm, layers, precision)

    ids = np.random.default_rng(0).integers(1000, 30_000, (2, 9))
    return TowerPlan(
        name=f"text-{layers}", weights=digest(minilm), code=code_digest(*BACKBONE_MODULES), reference=reference,
        example=(ids, _MASK), shapes=((-1, -1), (-1, -1)), frozen=True,
    )  # fmt: skip


def pooled_plan(weights: Path, side: int) -> TowerPlan:
    """Photos to pooled features: `ImageTower.forward`."""

    def reference(precision: torch.dtype) -> nn.Module:
        from encoders.runtime.export_modules import pooled

        return pooled(weights, precision)

    return _photo_plan("photo", side, weights, reference, frozen=True)


def grid_plan(weights: Path, side: int, *, own: bool = False) -> TowerPlan:
    """Photos to their grids: `ImageTower.grid`. With `own`, `weights` is a checkpoint with its own image tower."""

    def reference(precision: torch.dtype) -> nn.Module:
        from encoders.runtime.export_modules import grid, own_grid

        return own_grid(weights, precision) if own else grid(weights, precision)

    return _photo_plan("grid", side, weights, reference, frozen=not own)


def part_plan(checkpoint: Path, name: str, shape: TowerShape) -> TowerPlan:
    """`query`, `title`, `photo` or `views` of `export_modules`, from a checkpoint of `towers.single_stream.save`."""

    def reference(precision: torch.dtype) -> nn.Module:
        from encoders.runtime.export_modules import part

        return part(checkpoint, name, precision)

    rng = np.random.default_rng(0)
    states = rng.standard_normal((2, 9, TEXT_DIM), dtype=np.float32)
    photos = rng.standard_normal((2, shape.features), dtype=np.float32)
    example: tuple[Array, ...] = () if name == "photo" else (states, _MASK)
    shapes: tuple[tuple[int, ...], ...] = () if name == "photo" else ((-1, -1, TEXT_DIM), (-1, -1))
    if name in ("photo", "views"):
        example, shapes = (*example, photos), (*shapes, (-1, shape.features))
    return TowerPlan(
        name=name, weights=digest(checkpoint), code=code_digest(*STREAM_MODULES), reference=reference,
        example=example, shapes=shapes,
    )  # fmt: skip


def _photo_plan(
    name: str, side: int, weights: Path, reference: Callable[[torch.dtype], nn.Module], *, frozen: bool
) -> TowerPlan:
    photos = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    return TowerPlan(
        name=f"{name}-{side}", weights=digest(weights), code=code_digest(*BACKBONE_MODULES), reference=reference,
        example=(photos,), shapes=((-1, side, side, 3),), frozen=frozen,
    )  # fmt: skip
