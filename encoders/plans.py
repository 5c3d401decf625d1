"""How the towers of this project's families are prepared for a runtime."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor, nn

from encoders.runtime.tower import Plan
from encoders.single_stream import Shape, read
from encoders.stream_parts import Both, Photo
from encoders.towers import TEXT_DIM, TEXT_LAYERS, ImageTower, image_tower, text_tower

_HERE = Path(__file__).parent
_CODE = (Path(__file__), _HERE / "towers.py")
_STREAM_CODE = (*_CODE, _HERE / "single_stream.py", _HERE / "stream_parts.py")


class _States(nn.Module):
    def __init__(self, words: Path, layers: int) -> None:
        super().__init__()
        self.tower, self.layers = text_tower(words), layers

    def forward(self, ids: Tensor, seen: Tensor) -> Tensor:
        return self.tower.states(ids, seen, self.layers)


class _Grid(nn.Module):
    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, photos: Tensor) -> Tensor:
        return self.tower.grid(photos)


def text_plan(words: Path, layers: int = TEXT_LAYERS) -> Plan:
    """Token ids and what is no padding to states: `TextTower.states` after the first `layers` layers."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, 30_000, (2, 9), generator=draw)
    seen = torch.tensor([[True] * 9, [True] * 5 + [False] * 4])
    return Plan(
        name=f"text-{layers}", weights=digest(words), code=digest(*_CODE), reference=lambda: _States(words, layers),
        example=(ids, seen), shapes=((-1, -1), (-1, -1)),
    )  # fmt: skip


def pooled_plan(weights: Path, side: int) -> Plan:
    """Photos to pooled features: `ImageTower.forward`."""
    return _photo_plan("photo", side, digest(weights), lambda: image_tower(weights))


def grid_plan(weights: Path, side: int, tower: Callable[[], ImageTower] | None = None) -> Plan:
    """Photos to their grids: `ImageTower.grid`. `tower` makes the one of a checkpoint, which then is `weights`."""
    return _photo_plan("grid", side, digest(weights), lambda: _Grid(tower() if tower else image_tower(weights)))


def part_plan(checkpoint: Path, part: type[nn.Module], shape: Shape) -> Plan:
    """One of `encoders.stream_parts`, of the checkpoint that `encoders.single_stream.save` wrote."""
    draw = torch.Generator().manual_seed(0)
    states = torch.randn(2, 9, TEXT_DIM, generator=draw)
    seen = torch.tensor([[True] * 9, [True] * 5 + [False] * 4])
    photos = torch.randn(2, shape.features, generator=draw)
    example: tuple[Tensor, ...] = () if part is Photo else (states, seen)
    shapes: tuple[tuple[int, ...], ...] = () if part is Photo else ((-1, -1, TEXT_DIM), (-1, -1))
    if part in (Photo, Both):
        example, shapes = (*example, photos), (*shapes, (-1, shape.features))
    return Plan(
        name=part.__name__.lower(), weights=digest(checkpoint), code=digest(*_STREAM_CODE),
        reference=lambda: part(read(checkpoint)), example=example, shapes=shapes,
    )  # fmt: skip


def _photo_plan(name: str, side: int, weights: str, reference: Callable[[], nn.Module]) -> Plan:
    draw = torch.Generator().manual_seed(0)
    photos = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8, generator=draw)
    return Plan(
        name=f"{name}-{side}", weights=weights, code=digest(*_CODE), reference=reference,
        example=(photos,), shapes=((-1, side, side, 3),),
    )  # fmt: skip


def digest(*files: Path) -> str:
    """16 hex digits that differ whenever the bytes of one of the files do."""
    whole = blake2b(digest_size=8)
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                whole.update(chunk)
    return whole.hexdigest()
