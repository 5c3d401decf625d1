"""What is run as a whole in torch, each a module from tensors to a tensor, row by row."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from encoders.towers.backbones import ImageTower, TextTower, image_tower, text_tower
from encoders.towers.dims import TEXT_DIM
from encoders.towers.single_stream import ItemInput, SingleStream, TextInput, read


class TextStates(nn.Module):
    """Token ids and a bool mask of what is no padding, (texts, length) each, to `TextTower.states`."""

    def __init__(self, tower: TextTower, layers: int) -> None:
        super().__init__()
        self.tower, self.layers = tower, layers

    def forward(self, ids: Tensor, seen: Tensor) -> Tensor:
        return self.tower.states(ids, seen, self.layers)


class PhotoGrid(nn.Module):
    """Photos to `ImageTower.grid`."""

    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, photos: Tensor) -> Tensor:
        return self.tower.grid(photos)


class _Part(nn.Module):
    def __init__(self, towers: SingleStream) -> None:
        super().__init__()
        self.towers = towers

    def text(self, states: Tensor, seen: Tensor) -> TextInput:
        return TextInput(states.to(self.towers.text_in.weight.dtype), seen)


class QueryTower(_Part):
    """Token states (n, length, TEXT_DIM) and a bool mask of what is no padding, as a query: unit vectors (n, dim)."""

    def forward(self, states: Tensor, seen: Tensor) -> Tensor:
        return self.towers.query(self.text(states, seen)).vector


class TitleTower(_Part):
    """The same, as an item that has no photo."""

    def forward(self, states: Tensor, seen: Tensor) -> Tensor:
        none = states.new_zeros(len(states), 0, self.towers.shape.features)
        return self.towers.item(ItemInput(self.text(states, seen), none, seen[:, :0])).vector


class PhotoTower(_Part):
    """What the image tower says of a photo (n, features), as an item that has no title."""

    def forward(self, photos: Tensor) -> Tensor:
        there = torch.ones_like(photos[:, :1], dtype=torch.bool)
        none = self.text(photos.new_zeros(len(photos), 0, TEXT_DIM), there[:, :0])
        return self.towers.item(ItemInput(none, photos[:, None], there)).vector


class ItemViews(_Part):
    """An item's title and its photo, to `SingleStream.views`."""

    def forward(self, states: Tensor, seen: Tensor, photos: Tensor) -> Tensor:
        there = torch.ones_like(photos[:, :1], dtype=torch.bool)
        return self.towers.views(ItemInput(self.text(states, seen), photos[:, None], there))


_PARTS: dict[str, type[_Part]] = {"query": QueryTower, "title": TitleTower, "photo": PhotoTower, "views": ItemViews}


def part(checkpoint: Path, name: str, precision: torch.dtype) -> nn.Module:
    """The part of that name, of the towers in the checkpoint. Raises Misuse."""
    return _PARTS[name](read(checkpoint).narrow(precision))


def states(words: Path, layers: int, precision: torch.dtype) -> nn.Module:
    return TextStates(text_tower(words), layers).to(precision)


def pooled(weights: Path, precision: torch.dtype) -> nn.Module:
    return image_tower(weights).to(precision)


def grid(weights: Path, precision: torch.dtype) -> nn.Module:
    """Of the backbone's weights."""
    return PhotoGrid(image_tower(weights)).to(precision)


def own_grid(checkpoint: Path, precision: torch.dtype) -> nn.Module:
    """Of the image tower that was trained with the others. Raises Misuse."""
    own = read(checkpoint).narrow(precision).image
    if own is None:
        raise ValueError("these towers see photos through the frozen backbone")
    return PhotoGrid(own)
