"""Every metric against trec_eval, and metrics that trec_eval lacks against examples."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval

from evaluation.metrics import all_metrics, gains_of, ndcg, precision, recall, recall_beyond, reciprocal_rank
from tests.evaluation.judged import drawn, judgements

THEIRS = {"recall": "recall", "ndcg": "ndcg_cut", "precision": "P"}


def by_trec_eval(judged, ranking, measures: set[str]):
    qrels: dict[str, dict[str, int]] = {name: {} for name in judged.names}
    for query, item, grade in zip(judged.pairs.query, judged.pairs.item, judged.grade, strict=True):
        qrels[judged.names[query]][f"d{item}"] = int(grade)
    # trec_eval sorts by score, so each place becomes a lower score.
    run = {
        name: {f"d{item}": float(len(row) - place) for place, item in enumerate(row.tolist()) if item >= 0}
        for name, row in zip(judged.names, ranking, strict=True)
    }
    by_query = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run)
    return {key: np.array([by_query[name][key] for name in judged.names]) for key in by_query[judged.names[0]]}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("k", [1, 5, 10, 30])
def test_recall_ndcg_and_precision_equal_trec_eval(seed: int, k: int) -> None:
    judged, ranking = drawn(seed)
    gains = gains_of(ranking, judged)
    theirs = by_trec_eval(judged, ranking, {f"{name}.{k}" for name in THEIRS.values()})
    np.testing.assert_allclose(recall(gains, k), theirs[f"recall_{k}"])
    np.testing.assert_allclose(ndcg(gains, k), theirs[f"ndcg_cut_{k}"])
    np.testing.assert_allclose(precision(gains, k), theirs[f"P_{k}"])


@pytest.mark.parametrize("seed", range(8))
def test_reciprocal_rank_equals_trec_eval(seed: int) -> None:
    judged, ranking = drawn(seed)
    theirs = by_trec_eval(judged, ranking, {"recip_rank"})
    np.testing.assert_allclose(reciprocal_rank(gains_of(ranking, judged)), theirs["recip_rank"])


def test_k_beyond_the_ranking_covers_all_of_it() -> None:
    judged, ranking = drawn(3, depth=7)
    gains = gains_of(ranking, judged)
    theirs = by_trec_eval(judged, ranking, {"recall.20", "P.20"})
    np.testing.assert_allclose(recall(gains, 20), theirs["recall_20"])
    np.testing.assert_allclose(precision(gains, 20), theirs["P_20"])


def test_an_empty_ranking_has_zeros() -> None:
    judged = judgements([{0: 1.0}, {1: 2.0}])
    values = all_metrics(gains_of(np.full((2, 5), -1, np.int32), judged), (2, 5))
    assert set(values) == {"recall@2", "recall@5", "nDCG@2", "MRR", "P_good@2"}
    assert all((value == 0).all() for value in values.values())


def test_recall_beyond_counts_relevant_items_that_the_other_ranking_lacks() -> None:
    judged = judgements([{0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0}, {5: 1.0}])
    ours = np.array([[0, 1, 9, 2], [5, 4, 3, 2]], np.int32)
    words = np.array([[1, 7, -1, -1], [-1, -1, -1, 5]], np.int32)
    gains = gains_of(ours, judged)
    assert recall_beyond(ours, gains, words, 2).tolist() == [0.25, 1.0]
    assert recall_beyond(ours, gains, words, 4).tolist() == [0.5, 0.0]
    assert recall_beyond(ours, gains, ours, 4).tolist() == [0.0, 0.0]


def test_rankings_of_other_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="do not go with"):
        gains_of(np.zeros((3, 2), np.int32), judgements([{0: 1.0}]))
