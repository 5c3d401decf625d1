"""TextDistillation: words of no shop stay as near to each other as the text backbone has them.

L = mean over texts a and b of (cos(Q(a), I(b)) - cos(B(a), B(b)))^2, B the text backbone's mean over tokens

Not of the paper: its log has all the words that are asked for; a small shop's has not, and would forget them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from encoders.towers.single_stream import TowerOutput
from training.data.batch import TrainBatch


class TextDistillation(nn.Module):
    views = ("plain_query", "plain_item")

    def forward(self, read: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        query, item = (read[view].vector for view in self.views)
        with torch.autocast(query.device.type, enabled=False):
            return torch.square(query @ item.T - batch.plain @ batch.plain.T).mean()
