"""Alike: a product's photo alone is told from all products but its own, so that a photo finds what looks like it.

L = -log e^{s cos(p, i+)} / sum over items of e^{s cos(p, i)}

Not of the paper, whose queries are text. An item that is shown without its photo must be known by its title.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from encoders.towers.single_stream import TowerOutput
from training.data.batch import TrainBatch
from training.distributed import Distributed
from training.recipe import TaskWeights
from training.tasks.qic import am_softmax


class PhotoItemContrast(nn.Module):
    views = ("photo", "item")

    def __init__(self, policy: TaskWeights, world: Distributed) -> None:
        super().__init__()
        self._scale, self.world = policy.scale, world

    def forward(self, read: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        photo, item = (read[view] for view in self.views)
        there = photo.seen.any(1)
        rows = self.world.gather(batch.rows)
        count = self.world.gather(there).sum().clamp(min=1) / self.world.size
        own = self.world.rank * len(batch.rows) + torch.arange(len(batch.rows), device=rows.device)
        with torch.autocast(rows.device.type, enabled=False):
            cosines = photo.vector @ self.world.gather(item.vector).T
        loss = am_softmax(cosines, own, batch.rows[:, None] == rows[None, :], scale=self._scale, margin=0.0)
        return loss[there].sum() / count
