"""Metrics of a ranking, by query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.judgements import Judgements, Pairs
from evaluation.ranking import Ranking

PerQuery = NDArray[np.float64]
"""(queries,): one figure a query."""


@dataclass(frozen=True, slots=True)
class RankingGains:
    """The gains of a ranking by the judgements.

    `gains` float32 (queries, depth) is the grade of the item at each place, 0 if it is not relevant. `ideal` has the
    gains of the best ranking, in the same shape. `relevant` int (queries,) is the number of relevant items.
    """

    gains: NDArray[np.float32]
    ideal: NDArray[np.float32]
    relevant: NDArray[np.int64]


def gains_of(ranking: Ranking, judged: Judgements) -> RankingGains:
    """Look up every place of a ranking (queries, depth) in the judgements.

    Raises ValueError if the ranking is of another number of queries.
    """
    queries, depth = ranking.shape
    if queries != len(judged.queries):
        raise ValueError(f"{queries} rankings do not go with {len(judged.queries)} judged queries")
    relevant = np.bincount(judged.pairs.query, minlength=queries)
    best_first = np.lexsort((-judged.grade, judged.pairs.query))
    place = np.arange(len(best_first)) - np.repeat(np.cumsum(relevant) - relevant, relevant)
    ideal = np.zeros((queries, depth), np.float32)
    ranked = place < depth
    ideal[judged.pairs.query[best_first][ranked], place[ranked]] = judged.grade[best_first][ranked]
    positions = _positions(judged.pairs, ranking)
    gains = np.where(positions >= 0, judged.grade[positions], 0).astype(np.float32)
    return RankingGains(gains, ideal, relevant)


def _positions(pairs: Pairs, ranking: Ranking) -> NDArray[np.int64]:
    """For each place of a ranking the position of its query and item in the pairs, -1 if absent."""
    width = int(max(pairs.item.max(initial=0), ranking.max(initial=0))) + 1
    keys = pairs.query.astype(np.int64) * width + pairs.item
    ranked_keys = np.arange(len(ranking))[:, None] * width + ranking
    positions = np.searchsorted(keys, ranked_keys).clip(max=max(len(keys) - 1, 0))
    present = (keys[positions] == ranked_keys) & (ranking >= 0) if len(keys) else np.zeros(ranking.shape, bool)
    return np.where(present, positions, -1)


def recall(ranked: RankingGains, k: int) -> PerQuery:
    """The share of all relevant items that is among the first k."""
    share: PerQuery = (ranked.gains[:, :k] > 0).sum(1) / np.maximum(ranked.relevant, 1)
    return share


def precision(ranked: RankingGains, k: int) -> PerQuery:
    """The share of the first k places that is relevant, Taobao's P_good. A shorter ranking counts as k places."""
    share: PerQuery = (ranked.gains[:, :k] > 0).sum(1) / k
    return share


def ndcg(ranked: RankingGains, k: int) -> PerQuery:
    """The gain of the first k, discounted by log2(place + 1), divided by that of the best ranking."""
    discount = 1 / np.log2(np.arange(2, ranked.gains[:, :k].shape[1] + 2))
    ideal = ranked.ideal[:, :k] @ discount
    share: PerQuery = np.divide(ranked.gains[:, :k] @ discount, ideal, out=np.zeros_like(ideal), where=ideal > 0)
    return share


def reciprocal_rank(ranked: RankingGains) -> PerQuery:
    """1 / the place of the first relevant item, 0 without one."""
    relevant = ranked.gains > 0
    return np.where(relevant.any(1), 1 / (1 + relevant.argmax(1)), 0.0)


def recall_beyond(ranking: Ranking, ranked: RankingGains, other: Ranking, k: int) -> PerQuery:
    """The share of all relevant items that is among the first k here, but not among those of the other ranking."""
    first = ranking[:, :k]
    is_new = np.ones(first.shape, bool)
    for place in range(min(k, other.shape[1])):
        is_new &= first != other[:, place : place + 1]
    share: PerQuery = ((ranked.gains[:, :k] > 0) & is_new).sum(1) / np.maximum(ranked.relevant, 1)
    return share


def all_metrics(ranked: RankingGains, ks: tuple[int, ...]) -> Mapping[str, PerQuery]:
    """Every metric by its name: recall at each k, the others at the first k."""
    values: dict[str, PerQuery] = {f"recall@{k}": recall(ranked, k) for k in ks}
    values |= {f"nDCG@{k}": ndcg(ranked, k) for k in ks[:1]}
    values |= {"MRR": reciprocal_rank(ranked)}
    return values | {f"P_good@{k}": precision(ranked, k) for k in ks[:1]}
