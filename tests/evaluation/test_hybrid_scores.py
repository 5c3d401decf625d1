from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from catalog.domain.index_query import ReciprocalRankFusion, WeightedFusion
from evaluation.hybrid_scores import hybrid

INF = np.inf


def constant(*scores: float):
    def of(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([scores] * len(texts), np.float32)

    return of


def test_ranks_of_both_channels_are_summed_and_other_items_are_not_ranked() -> None:
    scores = hybrid(
        constant(0.9, 0.8, 0.1, np.nan), constant(-INF, 3.0, 5.0, -INF), fusion=ReciprocalRankFusion(k=1), pool=2
    )(["a", "b"])
    np.testing.assert_allclose(scores, [[1 / 2, 1 / 3 + 1 / 3, 1 / 2, -INF]] * 2, atol=1e-6)


def test_scores_are_scaled_by_channel() -> None:
    scores = hybrid(constant(0.9, 0.5, 0.1), constant(-INF, 4.0, 2.0), fusion=WeightedFusion(0.75), pool=3)(["a"])
    np.testing.assert_allclose(scores, [[0.75, 0.375 + 0.25, 0.0]], atol=1e-6)
