"""Text distillation: general words keep the similarities that the text backbone gives them.

L = mean over texts a and b of (cos(Q(a), I(b)) - cos(B(a), B(b)))^2, B the text backbone's mean over tokens

Not in the paper, whose log covers the words of all queries. A small shop's log does not, and the towers would forget.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from encoders.towers.single_stream import TowerOutput
from training.data.batch import TrainBatch


class TextDistillation(nn.Module):
    views = ("plain_query", "plain_item")

    def forward(self, outputs: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        query, item = (outputs[view].vector for view in self.views)
        with torch.autocast(query.device.type, enabled=False):
            return torch.square(query @ item.T - batch.plain @ batch.plain.T).mean()
