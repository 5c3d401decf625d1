"""MLM: hidden tokens of a title, or of a query, are told from what is left of it and, for a title, from the photo.

L = -1/|M| sum over hidden tokens i of log p(w_i | h_i), p over the word pieces the log and catalogue use

As in BERT (arXiv 1810.04805), 15 % of the tokens: of ten, eight become [MASK], one another word, one stays. The paper's
authors place it on the item tower, which strengthened the item's vector. The words' vectors are the text backbone's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.towers.single_stream import TowerOutput
from training.data.batch import TrainBatch

MASK, FIRST_WORD = 103, 999
"""The id of [MASK], and the first id that is a word piece and not a sign of the tokenizer's own."""


def hide(
    ids: Tensor, seen: Tensor, share: float, *, words: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Token ids (n, length) with some hidden, and the true ids where they are, -1 elsewhere."""
    chance = torch.rand(ids.shape, generator=generator)
    chosen = seen & (ids >= FIRST_WORD) & (chance < share)
    fate = torch.rand(ids.shape, generator=generator)
    other = words[torch.randint(len(words), ids.shape, generator=generator)]
    given = torch.where(fate < 0.8, torch.full_like(ids, MASK), torch.where(fate < 0.9, other, ids))
    return torch.where(chosen, given, ids), torch.where(chosen, ids, -1)


class MLM(nn.Module):
    """One head for titles and queries. `words` are the ids it chooses from, `vectors` (words, dim) theirs."""

    views = ("masked", "masked_query")

    def __init__(self, width: int, words: Tensor, vectors: Tensor) -> None:
        super().__init__()
        dim = vectors.shape[1]
        self.head = nn.Sequential(nn.Linear(width, dim), nn.GELU(), nn.LayerNorm(dim))
        self.bias = nn.Parameter(torch.zeros(len(words)))
        self._place = nn.Buffer(torch.full((int(words.max()) + 1,), -1), persistent=False)
        self._place[words] = torch.arange(len(words))
        self._vectors = nn.Buffer(vectors, persistent=False)

    def forward(self, read: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        losses = [self._of(read[view].tokens, batch.hidden_ids[view]) for view in self.views]
        return torch.stack(losses).sum()

    def _of(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        # An item's first tokens are its title's.
        found = tokens[:, : hidden.shape[1]][hidden >= 0]
        if not len(found):
            return tokens.sum() * 0
        logits = self.head(found) @ self._vectors.T.to(found.dtype) + self.bias
        return F.cross_entropy(logits.float(), self._place[hidden[hidden >= 0]])
