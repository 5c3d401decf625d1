"""What of the single stream is run as a whole: each part a module from tensors to unit vectors (n, dim)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from encoders.single_stream import Item, SingleStream, Text
from encoders.towers import TEXT_DIM


class _Part(nn.Module):
    def __init__(self, towers: SingleStream) -> None:
        super().__init__()
        self.towers = towers

    def text(self, states: Tensor, seen: Tensor) -> Text:
        return Text(states.to(self.towers.text_in.weight.dtype), seen)


class Query(_Part):
    """Token states (n, length, TEXT_DIM) and a bool mask of what is no padding, as a query."""

    def forward(self, states: Tensor, seen: Tensor) -> Tensor:
        return self.towers.query(self.text(states, seen)).vector


class Title(_Part):
    """The same, as an item that has no photo."""

    def forward(self, states: Tensor, seen: Tensor) -> Tensor:
        none = states.new_zeros(len(states), 0, self.towers.shape.features)
        return self.towers.item(Item(self.text(states, seen), none, seen[:, :0])).vector


class Photo(_Part):
    """What the image tower says of a photo (n, features), as an item that has no title."""

    def forward(self, photos: Tensor) -> Tensor:
        there = torch.ones_like(photos[:, :1], dtype=torch.bool)
        none = self.text(photos.new_zeros(len(photos), 0, TEXT_DIM), there[:, :0])
        return self.towers.item(Item(none, photos[:, None], there)).vector


class Both(_Part):
    """An item's title and its photo."""

    def forward(self, states: Tensor, seen: Tensor, photos: Tensor) -> Tensor:
        there = torch.ones_like(photos[:, :1], dtype=torch.bool)
        return self.towers.item(Item(self.text(states, seen), photos[:, None], there)).vector
