"""The towers as torch modules to export: each maps tensors to a tensor, row by row."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from encoders.towers.backbones import ImageTower, TextTower, image_tower, text_tower
from encoders.towers.dims import TEXT_DIM
from encoders.towers.single_stream import ItemInput, SingleStream, TextInput, read


class TextStates(nn.Module):
    """Token ids and their bool mask, (texts, length) each, to `TextTower.states`."""

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
    """Token states (n, length, TEXT_DIM) and their bool mask, as a query: unit vectors (n, dim)."""

    def forward(self, states: Tensor, seen: Tensor) -> Tensor:
        return self.towers.query(self.text(states, seen)).vector


class TitleTower(_Part):
    """The same, as an item without a photo."""

    def forward(self, states: Tensor, seen: Tensor) -> Tensor:
        no_photos = states.new_zeros(len(states), 0, self.towers.shape.features)
        return self.towers.item(ItemInput(self.text(states, seen), no_photos, seen[:, :0])).vector


class PhotoTower(_Part):
    """The image tower's features of a photo (n, features), as an item without a title."""

    def forward(self, photos: Tensor) -> Tensor:
        present = torch.ones_like(photos[:, :1], dtype=torch.bool)
        no_title = self.text(photos.new_zeros(len(photos), 0, TEXT_DIM), present[:, :0])
        return self.towers.item(ItemInput(no_title, photos[:, None], present)).vector


class ItemViews(_Part):
    """The title and the photo of an item, to `SingleStream.views`."""

    def forward(self, states: Tensor, seen: Tensor, photos: Tensor) -> Tensor:
        present = torch.ones_like(photos[:, :1], dtype=torch.bool)
        return self.towers.views(ItemInput(self.text(states, seen), photos[:, None], present))


_PARTS: dict[str, type[_Part]] = {"query": QueryTower, "title": TitleTower, "photo": PhotoTower, "views": ItemViews}


def part(checkpoint: Path, name: str, precision: torch.dtype) -> nn.Module:
    """The module of that name, of the towers in the checkpoint. Raises InvalidInput."""
    return _PARTS[name](read(checkpoint).narrow(precision))


def states(minilm: Path, layers: int, precision: torch.dtype) -> nn.Module:
    return TextStates(text_tower(minilm), layers).to(precision)


def pooled(weights: Path, precision: torch.dtype) -> nn.Module:
    return image_tower(weights).to(precision)


def grid(weights: Path, precision: torch.dtype) -> nn.Module:
    """The grid module of the frozen backbone."""
    return PhotoGrid(image_tower(weights)).to(precision)


def own_grid(checkpoint: Path, precision: torch.dtype) -> nn.Module:
    """The grid module of a checkpoint's own image tower. Raises InvalidInput."""
    image = read(checkpoint).narrow(precision).image
    if image is None:
        raise ValueError("this checkpoint uses the frozen image backbone: it has no image tower of its own")
    return PhotoGrid(image)
