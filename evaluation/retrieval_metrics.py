"""How well a ranking does, as pure functions of who is near and who is right.

Everywhere `similarity` is float (queries, items), `right` bool of the same shape, and ties are broken by position.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Similarity = NDArray[np.floating]
Right = NDArray[np.bool_]


def ranked(similarity: Similarity, right: Right, k: int) -> Right:
    """Bool (queries, min(k, items)): whether the item at each place, best first, is right."""
    if similarity.shape != right.shape:
        raise ValueError(f"similarity is {similarity.shape} but right is {right.shape}: they must agree")
    if k < 1:
        raise ValueError(f"k is {k}: it must be at least 1")
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(right, order, axis=1)


def hit_at(similarity: Similarity, right: Right, k: int) -> float:
    """The share of queries with a right item among the first k: recall@k where one item is sought."""
    return _mean(ranked(similarity, right, k).any(1).astype(float), right)


def precision_at(similarity: Similarity, right: Right, k: int) -> float:
    """Of the first k places, or as many as could be right, the share that is; the mean over queries."""
    found = ranked(similarity, right, k).sum(1)
    return _mean(found / np.maximum(np.minimum(right.sum(1), k), 1), right)


def recall_at(similarity: Similarity, right: Right, k: int) -> float:
    """Of all right items, the share among the first k; the mean over queries."""
    found = ranked(similarity, right, k).sum(1)
    return _mean(found / np.maximum(right.sum(1), 1), right)


def reciprocal_rank(similarity: Similarity, right: Right) -> float:
    """The mean over queries of 1 / the place of the first right item."""
    places = ranked(similarity, right, similarity.shape[1])
    return _mean(1.0 / (1.0 + places.argmax(1)), right)


def _mean(values: NDArray[np.floating], right: Right) -> float:
    """The mean over the queries that have an answer at all; NaN where none has."""
    answerable = right.any(1)
    return float(values[answerable].mean()) if answerable.any() else float("nan")
