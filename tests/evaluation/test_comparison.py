from __future__ import annotations

import json

import numpy as np
import pytest

from evaluation.comparison import ALL, Depths, as_json, compare, evaluate, groups_of
from evaluation.intervals import ChancePolicy, bootstrap, paired
from evaluation.ranking import rank
from tests.evaluation.judged import judgements

TEXTS = ["mug", "red mug", "big red mug", "a big red mug", "hat", "hat again"]
JUDGED = judgements(
    [{i: 1.0} for i in range(6)],
    texts=TEXTS,
    left_out=[(5, 0)],
    groups={"visible_only": [True, False, True, False, False, False], "empty": [False] * 6},
)
DEPTHS = Depths((1, 3), ChancePolicy(draws=200))


def right(texts):
    return np.eye(6, dtype=np.float32)[[TEXTS.index(text) for text in texts]]


def by_position(texts):
    return np.tile(-np.arange(6, dtype=np.float32), (len(texts), 1))


def compared():
    words = rank(by_position, TEXTS, k=1, left_out=JUDGED.left_out)
    models = [evaluate(name, s, JUDGED, depths=DEPTHS, lexical=words) for name, s in (("a", right), ("b", by_position))]
    return compare(models, JUDGED, items=6, depths=DEPTHS)


def test_groups_are_all_queries_lengths_and_those_of_the_judgements() -> None:
    assert {name: mask.tolist().count(True) for name, mask in groups_of(JUDGED).items()} == {
        ALL: 6,
        "1 word": 2,
        "2 words": 2,
        "3 words": 1,
        "4 words and more": 1,
        "visible_only": 2,
        "empty": 0,
    }


def test_each_group_has_the_interval_of_its_own_queries() -> None:
    comparison = compared()
    values = comparison.models[1].values["recall@3"]
    assert values.tolist() == [1, 1, 1, 0, 0, 0]
    assert comparison.estimates["b"]["visible_only"]["recall@3"] == bootstrap(values[[0, 2]], DEPTHS.chance)
    assert comparison.estimates["a"][ALL]["MRR"].mean == 1
    expected = paired(comparison.models[0].values["MRR"], comparison.models[1].values["MRR"], DEPTHS.chance)
    assert comparison.differences["b"][ALL]["MRR"] == expected
    assert comparison.sizes["visible_only"] == 2


def test_hits_beyond_words_are_measured() -> None:
    comparison = compared()
    # Ranked by position, the first place is item 0, or item 1 if item 0 is left out.
    assert comparison.models[0].values["beyond words@1"].tolist() == [0, 1, 1, 1, 1, 1]
    assert not comparison.models[1].values["beyond words@1"].any()


def test_left_out_items_take_no_place() -> None:
    assert compared().models[1].ranking[5].tolist() == [1, 2, 3]


def test_json_is_complete_and_null_for_an_empty_group() -> None:
    report = json.loads(json.dumps(as_json(compared()), allow_nan=False))
    assert (report["queries"], report["items"], report["judgements"], report["seed"]) == (6, 6, 6, 0)
    assert report["models"]["a"]["all"]["recall@1"] == {"mean": 1, "low": 1, "high": 1}
    assert report["models"]["a"]["empty"]["recall@1"] == {"mean": None, "low": None, "high": None}
    assert report["differences"]["a - b"]["all"]["recall@1"]["mean"] == pytest.approx(5 / 6)
    assert report["groups"]["empty"] == 0
