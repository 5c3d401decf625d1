"""Towers, the plans by which they are prepared, and the runtimes that run them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import nn

Array = NDArray[Any]
Tower = Callable[..., NDArray[np.float32]]
"""A part of a model that runs as one unit: arrays to one array, row by row."""


class TowerError(Exception):
    """A runtime is missing, or does not run this tower as torch does. Torch runs it instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerPlan:
    """How a tower is made in torch and exported for a runtime.

    - `weights` and `code` are digests of the weights and of the code that computes with them.
    - `reference` makes the tower in torch, in a precision.
    - `example` holds inputs. An export carries torch's output for them, and a runtime must agree with it.
    - `shapes` are the shapes of the inputs, -1 for a side that varies.
    - `frozen` marks a backbone with its package's weights, which may run in 8 bits.
    """

    name: str
    weights: str
    code: str
    reference: Callable[[torch.dtype], nn.Module]
    example: tuple[Array, ...]
    shapes: tuple[tuple[int, ...], ...]
    frozen: bool = False


class Runtime(Protocol):
    """Exports and loads towers. Any number of threads may call a loaded tower."""

    @property
    def version(self) -> str:
        """The runtime and its version. Exports of another version are not used."""
        ...

    @property
    def says(self) -> str:
        """The same, for people."""
        ...

    def export(self, plan: TowerPlan, folder: Path) -> None:
        """Export torch's tower into an empty folder. Raises TowerError."""
        ...

    def load(self, folder: Path) -> Tower:
        """The tower that was exported into the folder, ready to run. Raises TowerError."""
        ...
