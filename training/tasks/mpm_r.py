"""MPM_R: what is hidden of a photo is told from other photos, by contrast.

Two readings of the paper, whose formula is not public, with softmax_j over all hidden cells, or photos, of the batch:

Patch: L = -1/|M| sum over hidden cells i of log softmax_j(cos(g(h_i), sg(v_j)) / t) at j = i
Image: L = -1/n sum over photos i of log softmax_j(cos(g(p_i), sg(V_j)) / t) at j = i

h_i is the item tower's output at the hidden cell, v_j a cell's own features; p_i is the vector of the product whose
photo has cells hidden, V_j the mean of all cells of a photo.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.towers.backbones import CELL_DIM
from encoders.towers.single_stream import TowerOutput
from training.data.batch import TrainBatch


def told_apart(told: Tensor, true: Tensor, same: Tensor, temperature: float) -> Tensor:
    """Row i of `told` (n, dim) is to be most like row i of `true`; `same` (n, n) are rows that are no wrong answers."""
    if not len(told):
        return told.sum() * 0
    with torch.autocast(told.device.type, enabled=False):
        logits = F.normalize(told.float(), dim=1) @ F.normalize(true.float(), dim=1).T / temperature
    own = torch.eye(len(told), dtype=torch.bool, device=told.device)
    return F.cross_entropy(logits.masked_fill(same & ~own, -torch.inf), torch.arange(len(told), device=told.device))


class PatchContrast(nn.Module):
    views = ("masked",)

    def __init__(self, width: int, temperature: float) -> None:
        super().__init__()
        self.head = nn.Linear(width, CELL_DIM)
        self._temperature = temperature

    def forward(self, read: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        told = self.head(read["masked"].tokens[:, batch.first_cell :][batch.hidden_cells])
        # Of two drawings of one product the same cell is one and the same: neither is wrong for the other.
        row, cell = (part for part in batch.hidden_cells.nonzero().T)
        number = batch.rows[row] * batch.hidden_cells.shape[1] + cell
        return told_apart(told, batch.cells, number[:, None] == number[None, :], self._temperature)


class ImageContrast(nn.Module):
    views = ("masked",)

    def __init__(self, dim: int, temperature: float) -> None:
        super().__init__()
        self.head = nn.Linear(dim, CELL_DIM)
        self._temperature = temperature

    def forward(self, read: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        there = batch.hidden_cells.any(1)
        told = self.head(read["masked"].vector[there])
        rows = batch.rows[: len(there)][there]
        return told_apart(told, batch.wholes[there], rows[:, None] == rows[None, :], self._temperature)
