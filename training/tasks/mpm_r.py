"""MPM_R: hidden photo cells are predicted by contrast with other photos.

Two interpretations of the paper, whose formula is not public; softmax_j is over all hidden cells or photos of a batch:

Patch: L = -1/|M| sum over hidden cells i of log softmax_j(cos(g(h_i), sg(v_j)) / t) at j = i
Image: L = -1/n sum over photos i of log softmax_j(cos(g(p_i), sg(V_j)) / t) at j = i

h_i is the item tower's output at the hidden cell, and v_j a cell's own features. p_i is the vector of the product whose
photo has hidden cells, and V_j the mean of all cells of a photo.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.towers.backbones import CELL_DIM
from encoders.towers.single_stream import TowerOutput
from training.data.batch import TrainBatch


def contrast(predicted: Tensor, target: Tensor, same: Tensor, temperature: float) -> Tensor:
    """Row i of `predicted` (n, dim) is to be nearest to row i of `target`; pairs in `same` (n, n) are not negatives."""
    if not len(predicted):
        return predicted.sum() * 0
    with torch.autocast(predicted.device.type, enabled=False):
        logits = F.normalize(predicted.float(), dim=1) @ F.normalize(target.float(), dim=1).T / temperature
    own = torch.eye(len(predicted), dtype=torch.bool, device=predicted.device)
    labels = torch.arange(len(predicted), device=predicted.device)
    return F.cross_entropy(logits.masked_fill(same & ~own, -torch.inf), labels)


class PatchContrast(nn.Module):
    views = ("masked",)

    def __init__(self, width: int, temperature: float) -> None:
        super().__init__()
        self.head = nn.Linear(width, CELL_DIM)
        self._temperature = temperature

    def forward(self, outputs: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        predicted = self.head(outputs["masked"].tokens[:, batch.first_cell :][batch.hidden_cells])
        # A product that is in the batch twice has the same cells, which are not negatives of each other.
        row, cell = batch.hidden_cells.nonzero().T
        number = batch.rows[row] * batch.hidden_cells.shape[1] + cell
        return contrast(predicted, batch.cells, number[:, None] == number[None, :], self._temperature)


class ImageContrast(nn.Module):
    views = ("masked",)

    def __init__(self, dim: int, temperature: float) -> None:
        super().__init__()
        self.head = nn.Linear(dim, CELL_DIM)
        self._temperature = temperature

    def forward(self, outputs: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        masked = batch.hidden_cells.any(1)
        predicted = self.head(outputs["masked"].vector[masked])
        rows = batch.rows[: len(masked)][masked]
        return contrast(predicted, batch.wholes[masked], rows[:, None] == rows[None, :], self._temperature)
