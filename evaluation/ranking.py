"""Rankings: for each query the items with the highest scores, computed in blocks of queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.judgements import Pairs

Scores = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to float32 (texts, items), higher is more relevant; -inf or NaN for an item that must not be ranked."""

Ranking = NDArray[np.int32]
"""(queries, k): the rows of items, best first, -1 after the last."""

_BLOCK = 64


def by_vectors(encode: Callable[[Sequence[str]], NDArray[np.float32]], items: NDArray[np.float32]) -> Scores:
    """Inner products with items (items, dim). An item whose vector is NaN is not ranked."""
    return lambda texts: encode(texts) @ items.T


def rank(
    scores: Scores,
    queries: Sequence[str],
    *,
    k: int,
    left_out: Pairs | None = None,
    on_done: Callable[[int], None] = lambda done: None,
) -> Ranking:
    """The k best items of each query, ties by position. `left_out` are pairs that are not ranked.

    `on_done` receives the number of ranked queries. Raises ValueError if k is below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}: it must be at least 1")
    rankings = []
    for start in range(0, len(queries), _BLOCK):
        block = np.array(scores(queries[start : start + _BLOCK]), np.float32)
        block[np.isnan(block)] = -np.inf
        if left_out is not None:
            first, last = np.searchsorted(left_out.query, [start, start + len(block)])
            block[left_out.query[first:last] - start, left_out.item[first:last]] = -np.inf
        rankings.append(best(block, k))
        on_done(start + len(block))
    return np.concatenate(rankings) if rankings else np.empty((0, k), np.int32)


def best(scores: NDArray[np.float32], k: int) -> Ranking:
    """The columns of the k highest scores of each row, best first, ties by position; -1 for -inf and beyond the end."""
    queries, items = scores.shape
    ranking = np.full((queries, k), -1, np.int32)
    depth = min(k, items)
    if not depth:
        return ranking
    lowest = np.partition(scores, items - depth, axis=1)[:, items - depth]
    for row, (score, limit) in enumerate(zip(scores, lowest, strict=True)):
        above = np.flatnonzero(score > limit)
        equal = np.flatnonzero(score == limit)[: depth - len(above)]
        chosen = np.concatenate([above[np.argsort(-score[above], kind="stable")], equal])
        chosen = chosen[score[chosen] > -np.inf]
        ranking[row, : len(chosen)] = chosen
    return ranking
