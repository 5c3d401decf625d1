"""Photo-item contrast: the contrast of each photo with all products, so that a photo finds similar products.

L = -log e^{s cos(p, i+)} / sum over items of e^{s cos(p, i)}

Not in the paper, whose queries are text. An item that is read without its photo must be recognised by its title.
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

    def __init__(self, policy: TaskWeights, distributed: Distributed) -> None:
        super().__init__()
        self._scale, self._distributed = policy.scale, distributed

    def forward(self, outputs: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        photo, item = (outputs[view] for view in self.views)
        has_photo = photo.seen.any(1)
        rows = self._distributed.gather(batch.rows)
        count = self._distributed.gather(has_photo).sum().clamp(min=1) / self._distributed.size
        own = self._distributed.rank * len(batch.rows) + torch.arange(len(batch.rows), device=rows.device)
        with torch.autocast(rows.device.type, enabled=False):
            cosines = photo.vector @ self._distributed.gather(item.vector).T
        loss = am_softmax(cosines, own, batch.rows[:, None] == rows[None, :], scale=self._scale, margin=0.0)
        return loss[has_photo].sum() / count
