"""A step's batch: the drawn interactions, their views for the towers, and the hidden parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from encoders.towers.single_stream import ItemInput, TextInput

View = TextInput | ItemInput
V = TypeVar("V", bound=TextInput | ItemInput)
_TENSORS = ("queries", "rows", "hidden_cells", "cells", "wholes", "plain")


@dataclass(frozen=True, slots=True)
class TrainBatch:
    """Row i of a batch is one interaction: query `queries[i]` of the log led to row `rows[i]` of the catalogue.

    Views are built only if a task needs them:
    - query, item: the queries and products of the interactions
    - photo: the products without their titles
    - masked, masked_query: the first products with hidden tokens and cells, the first queries with hidden tokens
    - plain_query, plain_item: general words as queries and as titles
    """

    views: Mapping[str, View]
    queries: Tensor
    rows: Tensor
    hidden_ids: Mapping[str, Tensor]
    """For each masked view the true ids of hidden tokens, -1 elsewhere, (rows, length)."""

    hidden_cells: Tensor
    """Bool (masked rows, all cells of all photos of a product): the cell exists and is hidden."""

    cells: Tensor
    """The standardised features of those cells, (hidden cells, CELL_DIM)."""

    wholes: Tensor
    """The mean of all standardised cells of each masked row's first photo, (masked rows, CELL_DIM)."""

    first_cell: int
    """The position of the first photo cell among the masked view's tokens."""

    plain: Tensor
    """Unit vectors of the text backbone for the plain texts, (texts, TEXT_DIM)."""

    def to(self, device: torch.device) -> TrainBatch:
        tensors = {name: getattr(self, name).to(device) for name in _TENSORS}
        views = {name: moved(view, device) for name, view in self.views.items()}
        return replace(self, views=views, hidden_ids={k: v.to(device) for k, v in self.hidden_ids.items()}, **tensors)


def moved(view: V, device: torch.device) -> V:
    """The same view on the device."""
    if isinstance(view, TextInput):
        return replace(view, states=view.states.to(device), seen=view.seen.to(device))
    hidden = None if view.hidden is None else view.hidden.to(device)
    title = moved(view.title, device)
    return replace(view, title=title, photos=view.photos.to(device), there=view.there.to(device), hidden=hidden)
