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


def findings():
    words = rank(by_position, TEXTS, k=1, left_out=JUDGED.left_out)
    models = [evaluate(name, s, JUDGED, depths=DEPTHS, lexical=words) for name, s in (("a", right), ("b", by_position))]
    return compare(models, JUDGED, items=6, depths=DEPTHS)


def test_groups_are_all_the_lengths_and_those_of_the_judgements() -> None:
    assert {name: there.tolist().count(True) for name, there in groups_of(JUDGED).items()} == {
        ALL: 6,
        "1 word": 2,
        "2 words": 2,
        "3 words": 1,
        "4 words and more": 1,
        "visible_only": 2,
        "empty": 0,
    }


def test_each_group_has_the_interval_of_its_own_queries() -> None:
    found = findings()
    values = found.models[1].values["recall@3"]
    assert values.tolist() == [1, 1, 1, 0, 0, 0]
    assert found.estimates["b"]["visible_only"]["recall@3"] == bootstrap(values[[0, 2]], DEPTHS.chance)
    assert found.estimates["a"][ALL]["MRR"].mean == 1
    other = paired(found.models[0].values["MRR"], found.models[1].values["MRR"], DEPTHS.chance)
    assert found.differences["b"][ALL]["MRR"] == other
    assert found.sizes["visible_only"] == 2


def test_what_is_found_beyond_words_is_measured() -> None:
    found = findings()
    # By position alone the first place is item 0, or item 1 where item 0 is left out.
    assert found.models[0].values["beyond words@1"].tolist() == [0, 1, 1, 1, 1, 1]
    assert not found.models[1].values["beyond words@1"].any()


def test_what_is_left_out_takes_no_place() -> None:
    assert findings().models[1].ranking[5].tolist() == [1, 2, 3]


def test_json_says_it_all_and_null_for_a_group_of_none() -> None:
    said = json.loads(json.dumps(as_json(findings()), allow_nan=False))
    assert (said["queries"], said["items"], said["judgements"], said["seed"]) == (6, 6, 6, 0)
    assert said["models"]["a"]["all"]["recall@1"] == {"mean": 1, "low": 1, "high": 1}
    assert said["models"]["a"]["empty"]["recall@1"] == {"mean": None, "low": None, "high": None}
    assert said["differences"]["a - b"]["all"]["recall@1"]["mean"] == pytest.approx(5 / 6)
    assert said["groups"]["empty"] == 0
