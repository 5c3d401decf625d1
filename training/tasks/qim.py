"""QIM and QIM2: a cross-modal encoder says whether a query and a product, or a query and a photo, belong together.

L = -1/|P| sum over pairs of y log p + (1 - y) log(1 - p), p = sigmoid(w . mean(Cross([query tokens ; item tokens])))

Beside each true pair stand two false ones: the query with an item, and the item with a query, drawn from the batch in
proportion to e^{s cos}, known positives left out (ALBEF's way, arXiv 2107.07651; the paper's own is not public). QIM2
reads the item's photo without its title, which stresses the image.
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


def drawn(cosines: Tensor, excluded: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """For each row a column in proportion to e^{scale cos} among those not excluded, and bool: there was one."""
    chance = (scale * cosines).masked_fill(excluded, -torch.inf)
    possible = ~excluded.all(1)
    chance[~possible] = 0
    return torch.multinomial(chance.softmax(1), 1)[:, 0], possible


class QIM(nn.Module):
    """`view` is `item` for QIM, `photo` for QIM2."""

    def __init__(self, view: str, shape: TowerShape, policy: TaskWeights, known: Positives) -> None:
        super().__init__()
        self.views = ("query", view)
        self.kinds = nn.Parameter(torch.zeros(2, shape.width))
        self.cross = nn.ModuleList(Block(shape) for _ in range(policy.match_layers))
        self.score = nn.Sequential(nn.LayerNorm(shape.width), nn.Linear(shape.width, 1))
        self._known, self._policy = known, policy

    def forward(self, read: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        query, item = (read[view] for view in self.views)
        some = torch.arange(len(batch.rows), device=batch.rows.device)[: self._policy.matched]
        some = some[item.seen[some].any(1)]
        q, i, right = self._pairs(query, item, batch, some)
        if not len(q):
            return query.tokens.sum() * 0
        logits = self._match(query, item, q, i)
        return F.binary_cross_entropy_with_logits(logits.float(), right)

    def _pairs(
        self, query: TowerOutput, item: TowerOutput, batch: TrainBatch, some: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of queries and of items, and 1.0 for those that belong together."""
        cosines = (query.vector @ item.vector.T).detach().float()
        excluded = false_negatives(self._known, batch.queries, batch.rows, batch.rows) | ~item.seen.any(1)[None, :]
        to_item, has_item = drawn(cosines[some], excluded[some], self._policy.scale)
        to_query, has_query = drawn(cosines.T[some], excluded.T[some], self._policy.scale)
        q = torch.cat((some, some[has_item], to_query[has_query]))
        i = torch.cat((some, to_item[has_item], some[has_query]))
        return q, i, (torch.arange(len(q), device=q.device) < len(some)).float()

    def _match(self, query: TowerOutput, item: TowerOutput, q: Tensor, i: Tensor) -> Tensor:
        x = torch.cat((query.tokens[q] + self.kinds[0], item.tokens[i] + self.kinds[1]), 1)
        seen = torch.cat((query.seen[q], item.seen[i]), 1)
        for block in self.cross:
            x = block(x, seen)
        kept = seen[..., None].to(x.dtype)
        out: Tensor = self.score((x * kept).sum(1) / kept.sum(1))[:, 0]
        return out
