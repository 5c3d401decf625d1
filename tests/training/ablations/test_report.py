"""The metrics against matrices whose answers can be read off."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.retrieval_metrics import hit_at, precision_at, ranked, recall_at, reciprocal_rank

SIMILARITY = np.array([[0.9, 0.1, 0.5], [0.2, 0.8, 0.3], [0.3, 0.2, 0.1]])
DIAGONAL = np.eye(3, dtype=bool)


def test_a_query_hits_when_its_own_item_is_among_the_first_k() -> None:
    assert hit_at(SIMILARITY, DIAGONAL, 1) == pytest.approx(2 / 3)
    assert hit_at(SIMILARITY, DIAGONAL, 2) == pytest.approx(2 / 3)
    assert hit_at(SIMILARITY, DIAGONAL, 3) == 1.0


def test_reciprocal_rank_is_one_over_the_place_of_the_first_right_item() -> None:
    assert reciprocal_rank(SIMILARITY, DIAGONAL) == pytest.approx((1 + 1 + 1 / 3) / 3)


def test_precision_and_recall_with_several_right_items() -> None:
    similarity = np.array([[4.0, 3.0, 2.0, 1.0]])
    right = np.array([[True, False, True, True]])
    assert precision_at(similarity, right, 2) == 0.5
    assert recall_at(similarity, right, 2) == pytest.approx(1 / 3)
    assert precision_at(similarity, right, 4) == 1.0, "no more than three could be right"
    assert recall_at(similarity, right, 4) == 1.0


def test_a_query_without_a_right_item_counts_for_nothing() -> None:
    right = np.array([[True, False, False], [False, False, False], [False, False, False]])
    assert hit_at(SIMILARITY, right, 1) == 1.0
    assert math.isnan(hit_at(SIMILARITY, np.zeros((3, 3), bool), 1))


def test_ties_go_to_the_item_that_comes_first() -> None:
    assert ranked(np.zeros((1, 3)), np.array([[False, True, False]]), 2).tolist() == [[False, True]]


def test_k_beyond_the_items_is_all_of_them() -> None:
    assert recall_at(SIMILARITY, DIAGONAL, 99) == 1.0


@pytest.mark.parametrize(("similarity", "k"), [(np.zeros((2, 3)), 1), (SIMILARITY, 0)])
def test_shapes_that_disagree_and_a_k_of_nothing_are_refused(similarity: np.ndarray, k: int) -> None:
    with pytest.raises(ValueError, match="must"):
        ranked(similarity, DIAGONAL, k)
