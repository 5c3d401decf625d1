"""QIC: the contrast of each query's item with all other items, by the inner product of the two towers.

L = -log e^{s (cos(q, i+) - m)} / (e^{s (cos(q, i+) - m)} + sum over negatives of e^{s cos(q, i-)})

The AM-softmax (arXiv 1801.05599). In their 2022 article on the predecessor, the paper's authors found it better than
softmax (m = 0), and softmax better than sigmoid. Their s and m are not public.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.towers.single_stream import TowerOutput
from training.data.batch import TrainBatch
from training.distributed import Distributed
from training.recipe import TaskWeights
from training.tasks.negatives import MemoryBank, Positives, false_negatives


def am_softmax(cosines: Tensor, own: Tensor, excluded: Tensor, *, scale: float, margin: float) -> Tensor:
    """Each row's loss, (n,), of cosines (n, m). Column own[i] is row i's positive, excluded (n, m) no negatives."""
    positive = scale * (cosines.gather(1, own[:, None]) - margin)
    negative = (scale * cosines).masked_fill(excluded.scatter(1, own[:, None], True), -torch.inf)
    return torch.cat((positive, negative), 1).logsumexp(1) - positive[:, 0]


def sigmoid(cosines: Tensor, own: Tensor, excluded: Tensor, *, scale: float, bias: Tensor) -> Tensor:
    """A binary decision for each pair (SigLIP, arXiv 2303.15343): the sum of -log sigmoid(z (s cos + b))."""
    logits = scale * cosines + bias
    positive = F.softplus(-logits.gather(1, own[:, None]))[:, 0]
    negative = F.softplus(logits).masked_fill(excluded.scatter(1, own[:, None], True), 0)
    return positive + negative.sum(1)


class QIC(nn.Module):
    """The contrast of queries with one view of the items, from three pools: the batch, other processes, the bank."""

    def __init__(
        self, view: str, policy: TaskWeights, *, positives: Positives, distributed: Distributed,
        bank: MemoryBank | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.views = ("query", view)
        self.bias = nn.Parameter(torch.tensor(-policy.scale / 2)) if policy.loss == "sigmoid" else None
        self.bank_open = False
        self._policy, self._positives, self._distributed, self._bank = policy, positives, distributed, bank

    def forward(self, outputs: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        query, item = (outputs[view] for view in self.views)
        # An item whose view is empty, such as a missing photo, is neither a candidate nor a query's positive.
        visible = item.seen.any(1)
        rows = batch.rows.where(visible, -1)
        queries, items = self._distributed.gather(query.vector), self._distributed.gather(item.vector)
        all_rows, all_queries = self._distributed.gather(rows), self._distributed.gather(batch.queries)
        own = self._distributed.rank * len(rows) + torch.arange(len(rows), device=rows.device)
        # Divided by the mean count, the processes' losses average to the mean over all visible rows.
        count = (all_rows >= 0).sum().clamp(min=1) / self._distributed.size

        pool, pool_rows = items, all_rows
        if self._bank is not None and self.bank_open:
            pool = torch.cat((items, self._bank.vectors))
            pool_rows = torch.cat((all_rows, self._bank.rows))
        excluded = false_negatives(self._positives, batch.queries, batch.rows, pool_rows)
        loss = self._each(query.vector, pool, own, excluded)
        if self._policy.symmetric:
            excluded = false_negatives(self._positives, all_queries, all_rows, batch.rows).T
            excluded |= (batch.queries[:, None] == all_queries[None, :]) | (all_rows < 0)[None, :]
            loss = (loss + self._each(item.vector, queries, own, excluded)) / 2
        return loss[visible].sum() / count

    def _each(self, anchors: Tensor, candidates: Tensor, own: Tensor, excluded: Tensor) -> Tensor:
        """The loss of each anchor, the mean over all trained vector lengths, (n,)."""
        # In half precision, the cosines of similar items would be equal.
        with torch.autocast(anchors.device.type, enabled=False):
            losses = [self._loss(anchors @ candidates.T, own, excluded)]
            for dim in self._policy.nested:
                losses.append(self._loss(_first(anchors, dim) @ _first(candidates, dim).T, own, excluded))
            return torch.stack(losses).mean(0)

    def _loss(self, cosines: Tensor, own: Tensor, excluded: Tensor) -> Tensor:
        if self.bias is not None:
            return sigmoid(cosines, own, excluded, scale=self._policy.scale, bias=self.bias)
        margin = self._policy.margin if self._policy.loss == "am_softmax" else 0.0
        return am_softmax(cosines, own, excluded, scale=self._policy.scale, margin=margin)


def _first(vectors: Tensor, dim: int) -> Tensor:
    return F.normalize(vectors[:, :dim], dim=1)
