"""Rank fusion: combines a dense and a lexical ranking."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

from catalog.domain.index_query import Fusion, ReciprocalRankFusion

T = TypeVar("T", bound=Hashable)


def fused(
    fusion: Fusion, dense: Sequence[tuple[T, float]], lexical: Sequence[tuple[T, float]]
) -> list[tuple[T, float]]:
    """The items of both channels with their fused scores, best first. A channel is items and scores, best first.

    Equal scores keep the order of the dense channel, then of the lexical one, so that the pages of a ranking are
    consistent.
    """
    scores: dict[T, float] = {}
    for channel, weight in ((dense, fusion.dense), (lexical, fusion.lexical)):
        for (item, _), share in zip(channel, _shares(fusion, [score for _, score in channel]), strict=True):
            scores[item] = scores.get(item, 0.0) + weight * share
    return sorted(scores.items(), key=lambda item: -item[1])


def _shares(fusion: Fusion, scores: Sequence[float]) -> list[float]:
    """The contribution of each rank of a channel, before its weight."""
    if isinstance(fusion, ReciprocalRankFusion):
        return [1.0 / (fusion.k + rank) for rank in range(1, len(scores) + 1)]
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    # All scores of a channel are equal: each hit is as good as the best.
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]
