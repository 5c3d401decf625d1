"""MLM: hidden tokens of a title or query are predicted from its other tokens and, for a title, from the photo.

L = -1/|M| sum over hidden tokens i of log p(w_i | h_i), p over the word pieces of log and catalogue

As in BERT (arXiv 1810.04805), 15 % of the tokens are hidden: 80 % of them become [MASK], 10 % another word, 10 % stay.
The paper's authors apply MLM to the item tower, which improved the item's vector. Word vectors are the text backbone's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.towers.single_stream import TowerOutput
from training.data.batch import TrainBatch

MASK, FIRST_WORD = 103, 999
"""The id of [MASK], and the first id of a word piece; lower ids are special tokens."""


def hide(
    ids: Tensor, seen: Tensor, share: float, *, words: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Token ids (n, length) with some hidden, and the true ids at hidden places, -1 elsewhere."""
    chance = torch.rand(ids.shape, generator=generator)
    hidden = seen & (ids >= FIRST_WORD) & (chance < share)
    outcome = torch.rand(ids.shape, generator=generator)
    random_words = words[torch.randint(len(words), ids.shape, generator=generator)]
    replacement = torch.where(outcome < 0.8, torch.full_like(ids, MASK), torch.where(outcome < 0.9, random_words, ids))
    return torch.where(hidden, replacement, ids), torch.where(hidden, ids, -1)


class MLM(nn.Module):
    """One head for titles and queries. `words` are the ids that it predicts, `vectors` (words, dim) their vectors."""

    views = ("masked", "masked_query")

    def __init__(self, width: int, words: Tensor, vectors: Tensor) -> None:
        super().__init__()
        dim = vectors.shape[1]
        self.head = nn.Sequential(nn.Linear(width, dim), nn.GELU(), nn.LayerNorm(dim))
        self.bias = nn.Parameter(torch.zeros(len(words)))
        self._class_of_id = nn.Buffer(torch.full((int(words.max()) + 1,), -1), persistent=False)
        self._class_of_id[words] = torch.arange(len(words))
        self._vectors = nn.Buffer(vectors, persistent=False)

    def forward(self, outputs: Mapping[str, TowerOutput], batch: TrainBatch) -> Tensor:
        losses = [self._loss(outputs[view].tokens, batch.hidden_ids[view]) for view in self.views]
        return torch.stack(losses).sum()

    def _loss(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        # The first tokens of an item are its title.
        states = tokens[:, : hidden.shape[1]][hidden >= 0]
        if not len(states):
            return tokens.sum() * 0
        logits = self.head(states) @ self._vectors.T.to(states.dtype) + self.bias
        return F.cross_entropy(logits.float(), self._class_of_id[hidden[hidden >= 0]])
