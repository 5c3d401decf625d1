"""MPM: the features of hidden photo cells are regressed from the title and the other cells.

L = 1/|M| sum over hidden cells i of mean over features of (W h_i - v_i)^2, v_i standardised

The regression family of visual pre-training tasks, which the paper's MPM_R replaces.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from encoders.towers.backbones import CELL_DIM
from encoders.towers.single_stream import TowerOutput
from training.data.batch import TrainBatch


class MPM(nn.Module):
    views = ("masked",)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, CELL_DIM)

    def forward(self, outputs: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        tokens = outputs["masked"].tokens
        predicted = self.head(tokens[:, batch.first_cell :][batch.hidden_cells])
        return F.mse_loss(predicted.float(), batch.cells) if len(predicted) else tokens.sum() * 0
