"""Fuses two scores, as a hybrid search does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catalog.domain.index_query import Fusion
from catalog.query.rank_fusion import fused
from evaluation.ranking import Scores, best


def hybrid(dense: Scores, lexical: Scores, *, fusion: Fusion, pool: int) -> Scores:
    """Fused scores of the `pool` best items of either channel; -inf for all other items."""

    def scores(texts: Sequence[str]) -> NDArray[np.float32]:
        dense_scores, lexical_scores = dense(texts), lexical(texts)
        matrix = np.full(lexical_scores.shape, -np.inf, np.float32)
        for row, by_vector, by_words in zip(matrix, dense_scores, lexical_scores, strict=True):
            for item, score in fused(fusion, _best(by_vector, pool), _best(by_words, pool)):
                row[item] = score
        return matrix

    return scores


def _best(scores: NDArray[np.float32], pool: int) -> list[tuple[int, float]]:
    """Items and their scores, best first. Items with NaN are left out."""
    valid = np.where(np.isnan(scores), np.float32(-np.inf), scores)
    return [(int(item), float(valid[item])) for item in best(valid[None], pool)[0] if item >= 0]
