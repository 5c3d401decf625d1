"""What a tower is, what it takes to prepare one, and the runtime that does."""

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
"""A part of a model that is run as a whole: arrays to one array, row by row."""


class TowerError(Exception):
    """A runtime that is not there, or does not run this tower as torch does. Torch does instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerPlan:
    """A tower that a runtime may prepare.

    `reference` makes it in torch, to compute in a precision. `example` are inputs of which torch's output is kept
    beside an export: what runs the tower must agree. `shapes` are those of the inputs, -1 for a side that differs from
    call to call.
    `weights` differs whenever the weights do, and `code` whenever what is computed of them does. `frozen` is a backbone
    as its package has it, which may be run in 8 bits.
    """

    name: str
    weights: str
    code: str
    reference: Callable[[torch.dtype], nn.Module]
    example: tuple[Array, ...]
    shapes: tuple[tuple[int, ...], ...]
    frozen: bool = False


class Runtime(Protocol):
    """One way to run towers. Any number of threads may call what it loads."""

    @property
    def version(self) -> str:
        """The runtime and its version; an export of another is none."""
        ...

    @property
    def says(self) -> str:
        """The same for people."""
        ...

    def export(self, plan: TowerPlan, folder: Path) -> None:
        """Write the tower, as torch has it, into an empty folder. Raises TowerError."""
        ...

    def load(self, folder: Path) -> Tower:
        """What was exported into the folder, ready to run. Raises TowerError."""
        ...
