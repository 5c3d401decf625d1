from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.ranking import best, by_vectors, rank
from tests.evaluation.judged import pairs

SCORES = st.lists(
    st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 0.5, 2.0]), min_size=6, max_size=6), min_size=1, max_size=4
)


@given(SCORES, st.integers(1, 9))
def test_the_best_equal_those_of_a_stable_sort(scores: list[list[float]], k: int) -> None:
    table = np.array(scores, np.float32)
    for row, ranking in zip(table, best(table, k), strict=True):
        expected = [int(i) for i in np.argsort(-row, kind="stable")[:k] if row[i] > -np.inf]
        assert ranking.tolist() == expected + [-1] * (k - len(expected))


def test_vectors_are_ranked_by_their_inner_product_in_blocks_of_any_size() -> None:
    rng = np.random.default_rng(0)
    items, queries = rng.standard_normal((50, 4), np.float32), rng.standard_normal((150, 4), np.float32)
    progress: list[int] = []
    ranking = rank(
        by_vectors(lambda texts: queries[[int(text) for text in texts]], items),
        [str(i) for i in range(150)],
        k=5,
        on_done=progress.append,
    )
    assert np.array_equal(ranking, np.argsort(-queries @ items.T, axis=1, kind="stable")[:, :5])
    assert progress[-1] == 150


def test_an_item_without_a_vector_is_not_ranked() -> None:
    items = np.array([[1.0], [np.nan], [0.5]], np.float32)
    assert rank(by_vectors(lambda texts: np.ones((len(texts), 1), np.float32), items), ["a"], k=3).tolist() == [
        [0, 2, -1]
    ]


def test_left_out_items_are_not_ranked_for_their_query_only() -> None:
    scores = np.tile(np.arange(4, dtype=np.float32), (100, 1))
    ranking = rank(lambda texts: scores[: len(texts)], ["q"] * 100, k=2, left_out=pairs([(0, 3), (70, 2), (70, 3)]))
    assert ranking[0].tolist() == [2, 1]
    assert ranking[70].tolist() == [1, 0]
    assert ranking[1].tolist() == ranking[99].tolist() == [3, 2]
    assert scores[0, 3] == 3, "the scores are the caller's"


def test_no_query_no_item_and_no_place() -> None:
    assert rank(lambda texts: np.zeros((0, 3), np.float32), [], k=2).shape == (0, 2)
    assert best(np.zeros((2, 0), np.float32), 2).tolist() == [[-1, -1], [-1, -1]]
    with pytest.raises(ValueError, match="at least 1"):
        rank(lambda texts: np.zeros((1, 3), np.float32), ["a"], k=0)
