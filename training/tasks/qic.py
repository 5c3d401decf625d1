"""QIC: a query is told from all items but its own, by the inner product of the two towers.

L = -log e^{s (cos(q, i+) - m)} / (e^{s (cos(q, i+) - m)} + sum over negatives of e^{s cos(q, i-)})

The AM-softmax (arXiv 1801.05599), which the paper's authors found better than softmax (m = 0) and that better than
sigmoid, in their article of 2022 on the predecessor. Their s and m are not public.
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
    """Each row's loss, (n,), of cosines (n, m). Column own[i] is right for row i; excluded (n, m) are no negatives."""
    right = scale * (cosines.gather(1, own[:, None]) - margin)
    wrong = (scale * cosines).masked_fill(excluded.scatter(1, own[:, None], True), -torch.inf)
    return torch.cat((right, wrong), 1).logsumexp(1) - right[:, 0]


def sigmoid(cosines: Tensor, own: Tensor, excluded: Tensor, *, scale: float, bias: Tensor) -> Tensor:
    """The same by a yes or no for each pair (SigLIP, arXiv 2303.15343): the sum of -log sigmoid(z (s cos + b))."""
    logits = scale * cosines + bias
    right = F.softplus(-logits.gather(1, own[:, None]))[:, 0]
    wrong = F.softplus(logits).masked_fill(excluded.scatter(1, own[:, None], True), 0)
    return right + wrong.sum(1)


class QIC(nn.Module):
    """The contrast of queries with one view of the items, over three pools: the batch, other processes, the bank."""

    def __init__(
        self, view: str, policy: TaskWeights, *, known: Positives, world: Distributed, bank: MemoryBank | None = None
    ) -> None:
        super().__init__()
        self.views = ("query", view)
        self.bias = nn.Parameter(torch.tensor(-policy.scale / 2)) if policy.loss == "sigmoid" else None
        self.bank_open = False
        self._policy, self._known, self.world, self._bank = policy, known, world, bank

    def forward(self, read: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        query, item = (read[view] for view in self.views)
        # A view in which there is nothing of an item, as of one without a photo, is no candidate and asks for nothing.
        there = item.seen.any(1)
        rows = batch.rows.where(there, -1)
        queries, items = self.world.gather(query.vector), self.world.gather(item.vector)
        all_rows, all_queries = self.world.gather(rows), self.world.gather(batch.queries)
        own = self.world.rank * len(rows) + torch.arange(len(rows), device=rows.device)
        # Means of processes that have more and less to count still average to the mean over everything.
        count = (all_rows >= 0).sum().clamp(min=1) / self.world.size

        pool, pool_rows = items, all_rows
        if self._bank is not None and self.bank_open:
            pool = torch.cat((items, self._bank.vectors))
            pool_rows = torch.cat((all_rows, self._bank.rows))
        excluded = false_negatives(self._known, batch.queries, batch.rows, pool_rows)
        loss = self._each(query.vector, pool, own, excluded)
        if self._policy.both_ways:
            excluded = false_negatives(self._known, all_queries, all_rows, batch.rows).T
            excluded |= (batch.queries[:, None] == all_queries[None, :]) | (all_rows < 0)[None, :]
            loss = (loss + self._each(item.vector, queries, own, excluded)) / 2
        return loss[there].sum() / count

    def _each(self, asking: Tensor, answering: Tensor, own: Tensor, excluded: Tensor) -> Tensor:
        """The mean over all lengths of vector that are to be of use, (n,)."""
        # In half precision the cosines of near items would be the same number.
        with torch.autocast(asking.device.type, enabled=False):
            losses = [self._loss(asking @ answering.T, own, excluded)]
            for dim in self._policy.nested:
                losses.append(self._loss(_first(asking, dim) @ _first(answering, dim).T, own, excluded))
            return torch.stack(losses).mean(0)

    def _loss(self, cosines: Tensor, own: Tensor, excluded: Tensor) -> Tensor:
        if self.bias is not None:
            return sigmoid(cosines, own, excluded, scale=self._policy.scale, bias=self.bias)
        margin = self._policy.margin if self._policy.loss == "am_softmax" else 0.0
        return am_softmax(cosines, own, excluded, scale=self._policy.scale, margin=margin)


def _first(vectors: Tensor, dim: int) -> Tensor:
    return F.normalize(vectors[:, :dim], dim=1)
