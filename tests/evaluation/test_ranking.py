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
def test_the_best_are_those_of_a_stable_sort(scores: list[list[float]], k: int) -> None:
    table = np.array(scores, np.float32)
    for row, found in zip(table, best(table, k), strict=True):
        slow = [int(i) for i in np.argsort(-row, kind="stable")[:k] if row[i] > -np.inf]
        assert found.tolist() == slow + [-1] * (k - len(slow))


def test_vectors_are_ranked_by_their_inner_product_in_blocks_of_any_size() -> None:
    draw = np.random.default_rng(0)
    items, queries = draw.standard_normal((50, 4), np.float32), draw.standard_normal((150, 4), np.float32)
    told: list[int] = []
    found = rank(
        by_vectors(lambda texts: queries[[int(text) for text in texts]], items),
        [str(i) for i in range(150)],
        k=5,
        on_done=told.append,
    )
    assert np.array_equal(found, np.argsort(-queries @ items.T, axis=1, kind="stable")[:, :5])
    assert told[-1] == 150


def test_an_item_without_a_vector_is_never_found() -> None:
    items = np.array([[1.0], [np.nan], [0.5]], np.float32)
    assert rank(by_vectors(lambda texts: np.ones((len(texts), 1), np.float32), items), ["a"], k=3).tolist() == [
        [0, 2, -1]
    ]


def test_what_is_left_out_of_a_query_is_not_ranked_for_it_alone() -> None:
    scores = np.tile(np.arange(4, dtype=np.float32), (100, 1))
    found = rank(lambda texts: scores[: len(texts)], ["q"] * 100, k=2, left_out=pairs([(0, 3), (70, 2), (70, 3)]))
    assert found[0].tolist() == [2, 1]
    assert found[70].tolist() == [1, 0]
    assert found[1].tolist() == found[99].tolist() == [3, 2]
    assert scores[0, 3] == 3, "the scores are the caller's"


def test_no_query_no_item_and_no_place() -> None:
    assert rank(lambda texts: np.zeros((0, 3), np.float32), [], k=2).shape == (0, 2)
    assert best(np.zeros((2, 0), np.float32), 2).tolist() == [[-1, -1], [-1, -1]]
    with pytest.raises(ValueError, match="at least 1"):
        rank(lambda texts: np.zeros((1, 3), np.float32), ["a"], k=0)
