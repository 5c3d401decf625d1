"""What a ranking is worth, query by query. Everywhere `gains` is float (queries, depth): the grade at each place."""

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
    """A ranking as it was judged.

    `gains` float32 (queries, depth) is the grade of the item at each place, 0 where it is wrong; `ideal`, of the same
    shape, what the best ranking would have there; `right` int (queries,) how many right items there are.
    """

    gains: NDArray[np.float32]
    ideal: NDArray[np.float32]
    right: NDArray[np.int64]


def mark(ranking: Ranking, judged: Judgements) -> RankingGains:
    """Look every place of a ranking (queries, depth) up in the judgements."""
    queries, depth = ranking.shape
    if queries != len(judged.queries):
        raise ValueError(f"{queries} rankings do not go with {len(judged.queries)} judged queries")
    right = np.bincount(judged.pairs.query, minlength=queries)
    best_first = np.lexsort((-judged.grade, judged.pairs.query))
    place = np.arange(len(best_first)) - np.repeat(np.cumsum(right) - right, right)
    ideal = np.zeros((queries, depth), np.float32)
    near = place < depth
    ideal[judged.pairs.query[best_first][near], place[near]] = judged.grade[best_first][near]
    at = find(judged.pairs, ranking)
    gains = np.where(at >= 0, judged.grade[at], 0).astype(np.float32)
    return RankingGains(gains, ideal, right)


def find(pairs: Pairs, ranking: Ranking) -> NDArray[np.int64]:
    """For each place of a ranking the position of its query and item in the pairs, -1 where they are none."""
    width = int(max(pairs.item.max(initial=0), ranking.max(initial=0))) + 1
    known = pairs.query.astype(np.int64) * width + pairs.item
    wanted = np.arange(len(ranking))[:, None] * width + ranking
    at = np.searchsorted(known, wanted).clip(max=max(len(known) - 1, 0))
    there = (known[at] == wanted) & (ranking >= 0) if len(known) else np.zeros(ranking.shape, bool)
    return np.where(there, at, -1)


def recall(marks: RankingGains, k: int) -> PerQuery:
    """Of all right items the share among the first k."""
    share: PerQuery = (marks.gains[:, :k] > 0).sum(1) / np.maximum(marks.right, 1)
    return share


def good(marks: RankingGains, k: int) -> PerQuery:
    """Of the first k places the share that is right, as Taobao's P_good; k places count even where there are fewer."""
    share: PerQuery = (marks.gains[:, :k] > 0).sum(1) / k
    return share


def ndcg(marks: RankingGains, k: int) -> PerQuery:
    """The discounted gain of the first k, 1 / log2(place + 1) a place, over what the best ranking would have."""
    discount = 1 / np.log2(np.arange(2, marks.gains[:, :k].shape[1] + 2))
    most = marks.ideal[:, :k] @ discount
    share: PerQuery = np.divide(marks.gains[:, :k] @ discount, most, out=np.zeros_like(most), where=most > 0)
    return share


def reciprocal_rank(marks: RankingGains) -> PerQuery:
    """1 / the place of the first right item, 0 where there is none."""
    right = marks.gains > 0
    return np.where(right.any(1), 1 / (1 + right.argmax(1)), 0.0)


def beyond(ranking: Ranking, marks: RankingGains, other: Ranking, k: int) -> PerQuery:
    """Of all right items the share that is among the first k here and not among the first k of the other ranking."""
    here = ranking[:, :k]
    only = np.ones(here.shape, bool)
    for place in range(min(k, other.shape[1])):
        only &= here != other[:, place : place + 1]
    share: PerQuery = ((marks.gains[:, :k] > 0) & only).sum(1) / np.maximum(marks.right, 1)
    return share


def measured(marks: RankingGains, ks: tuple[int, ...]) -> Mapping[str, PerQuery]:
    """Every measure by its name."""
    said: dict[str, PerQuery] = {f"recall@{k}": recall(marks, k) for k in ks}
    said |= {f"nDCG@{k}": ndcg(marks, k) for k in ks[:1]}
    said |= {"MRR": reciprocal_rank(marks)}
    return said | {f"P_good@{k}": good(marks, k) for k in ks[:1]}
