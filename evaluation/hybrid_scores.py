"""Two ways to score made one, as a hybrid search does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catalog.domain.index_query import Fusion
from catalog.query.rank_fusion import fused
from evaluation.ranking import Scores, best


def hybrid(dense: Scores, lexical: Scores, *, fusion: Fusion, pool: int) -> Scores:
    """Scores of what either way has among its `pool` best, fused; -inf for all else."""

    def scores(texts: Sequence[str]) -> NDArray[np.float32]:
        by_vectors, by_words = dense(texts), lexical(texts)
        found = np.full(by_words.shape, -np.inf, np.float32)
        for row, near, said in zip(found, by_vectors, by_words, strict=True):
            for item, score in fused(fusion, _best(near, pool), _best(said, pool)):
                row[item] = score
        return found

    return scores


def _best(scores: NDArray[np.float32], pool: int) -> list[tuple[int, float]]:
    """Items and their scores, best first; a NaN is no score."""
    told = np.where(np.isnan(scores), np.float32(-np.inf), scores)
    return [(int(item), float(told[item])) for item in best(told[None], pool)[0] if item >= 0]
