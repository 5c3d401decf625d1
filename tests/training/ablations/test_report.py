"""The metrics of the report on small matrices, and its tables."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.ablations.report import hit_rate_at, precision_at, ranked, table

SIMILARITY = np.array([[0.9, 0.1, 0.5], [0.2, 0.8, 0.3], [0.3, 0.2, 0.1]])
DIAGONAL = np.eye(3, dtype=bool)


def test_a_query_hits_when_its_own_item_is_among_the_first_k() -> None:
    assert hit_rate_at(SIMILARITY, DIAGONAL, 1) == pytest.approx(2 / 3)
    assert hit_rate_at(SIMILARITY, DIAGONAL, 2) == pytest.approx(2 / 3)
    assert hit_rate_at(SIMILARITY, DIAGONAL, 3) == 1.0


def test_precision_with_several_relevant_items() -> None:
    similarity = np.array([[4.0, 3.0, 2.0, 1.0]])
    relevant = np.array([[True, False, True, True]])
    assert precision_at(similarity, relevant, 1) == 1.0
    assert precision_at(similarity, relevant, 2) == 0.5
    assert precision_at(similarity, relevant, 3) == pytest.approx(2 / 3)
    assert precision_at(similarity, relevant, 4) == 1.0, "no more than three could be relevant"


def test_a_query_without_a_relevant_item_does_not_count() -> None:
    relevant = np.array([[True, False, False], [False, False, False], [False, False, False]])
    assert hit_rate_at(SIMILARITY, relevant, 1) == 1.0
    assert math.isnan(hit_rate_at(SIMILARITY, np.zeros((3, 3), bool), 1))
    assert math.isnan(precision_at(SIMILARITY, np.zeros((3, 3), bool), 1))


def test_ties_go_to_the_first_item() -> None:
    assert ranked(np.zeros((1, 3)), np.array([[False, True, False]]), 2).tolist() == [[False, True]]


def test_places_are_in_the_order_of_similarity() -> None:
    assert ranked(SIMILARITY, DIAGONAL, 3).argmax(1).tolist() == [0, 0, 2]


def test_k_beyond_the_items_covers_all_of_them() -> None:
    assert ranked(SIMILARITY, DIAGONAL, 99).shape == (3, 3)
    assert hit_rate_at(SIMILARITY, DIAGONAL, 99) == 1.0


@pytest.mark.parametrize(("similarity", "k"), [(np.zeros((2, 3)), 1), (SIMILARITY, 0)])
def test_shapes_that_disagree_and_a_k_of_zero_are_refused(similarity: np.ndarray, k: int) -> None:
    with pytest.raises(ValueError, match="must"):
        ranked(similarity, DIAGONAL, k)


def test_a_table_has_a_dash_for_a_missing_figure() -> None:
    markdown = table({"fused": {"recall@1": 0.5, "P@10": 1.0}, "photo": {"recall@1": 0.25}}, first="searched")
    assert markdown.splitlines() == [
        "| searched | recall@1 | P@10 |",
        "| --- | ---: | ---: |",
        "| fused | 0.500 | 1.000 |",
        "| photo | 0.250 | - |",
    ]
