"""QIM and QIM2: a cross-modal encoder decides whether a query and a product, or a query and a photo, match.

L = -1/|P| sum over pairs of y log p + (1 - y) log(1 - p), p = sigmoid(w . mean(Cross([query tokens ; item tokens])))

Each true pair comes with two false ones: the query with another item, and the item with another query. They are drawn
from the batch in proportion to e^{s cos}, without known positives, as in ALBEF (arXiv 2107.07651); the paper's own
method is not public. QIM2 reads the item's photo without its title, which gives the image more weight.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.towers.single_stream import Block, TowerOutput, TowerShape
from training.data.batch import TrainBatch
from training.recipe import TaskWeights
from training.tasks.negatives import Positives, false_negatives


def sample_negatives(cosines: Tensor, excluded: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """For each row a column drawn in proportion to e^{scale cos} among those not excluded, and whether one exists."""
    chance = (scale * cosines).masked_fill(excluded, -torch.inf)
    possible = ~excluded.all(1)
    chance[~possible] = 0
    return torch.multinomial(chance.softmax(1), 1)[:, 0], possible


class QIM(nn.Module):
    """`view` is `item` for QIM, `photo` for QIM2."""

    def __init__(self, view: str, shape: TowerShape, policy: TaskWeights, positives: Positives) -> None:
        super().__init__()
        self.views = ("query", view)
        self.kinds = nn.Parameter(torch.zeros(2, shape.width))
        self.cross = nn.ModuleList(Block(shape) for _ in range(policy.match_layers))
        self.score = nn.Sequential(nn.LayerNorm(shape.width), nn.Linear(shape.width, 1))
        self._positives, self._policy = positives, policy

    def forward(self, outputs: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        query, item = (outputs[view] for view in self.views)
        matched = torch.arange(len(batch.rows), device=batch.rows.device)[: self._policy.matched]
        matched = matched[item.seen[matched].any(1)]
        q, i, labels = self._pairs(query, item, batch, matched)
        if not len(q):
            return query.tokens.sum() * 0
        logits = self._match(query, item, q, i)
        return F.binary_cross_entropy_with_logits(logits.float(), labels)

    def _pairs(
        self, query: TowerOutput, item: TowerOutput, batch: TrainBatch, matched: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of queries, rows of items, and 1.0 for pairs that match."""
        cosines = (query.vector @ item.vector.T).detach().float()
        excluded = false_negatives(self._positives, batch.queries, batch.rows, batch.rows) | ~item.seen.any(1)[None, :]
        to_item, has_item = sample_negatives(cosines[matched], excluded[matched], self._policy.scale)
        to_query, has_query = sample_negatives(cosines.T[matched], excluded.T[matched], self._policy.scale)
        q = torch.cat((matched, matched[has_item], to_query[has_query]))
        i = torch.cat((matched, to_item[has_item], matched[has_query]))
        return q, i, (torch.arange(len(q), device=q.device) < len(matched)).float()

    def _match(self, query: TowerOutput, item: TowerOutput, q: Tensor, i: Tensor) -> Tensor:
        x = torch.cat((query.tokens[q] + self.kinds[0], item.tokens[i] + self.kinds[1]), 1)
        seen = torch.cat((query.seen[q], item.seen[i]), 1)
        for block in self.cross:
            x = block(x, seen)
        mask = seen[..., None].to(x.dtype)
        logits: Tensor = self.score((x * mask).sum(1) / mask.sum(1))[:, 0]
        return logits
