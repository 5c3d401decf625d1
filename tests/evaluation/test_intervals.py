from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from evaluation.intervals import ChancePolicy, Difference, Estimate, bootstrap, paired


def test_the_interval_of_a_mean_is_that_of_the_normal_where_there_are_many() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 4000)
    found = bootstrap(values)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=half / 5)
    assert found.high == pytest.approx(values.mean() + half, abs=half / 5)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        found = bootstrap(draw.binomial(1, 0.3, 80).astype(float), ChancePolicy(draws=300))
        held += found.low <= 0.3 <= found.high
    assert 0.88 <= held / 200 <= 0.99


def test_a_bootstrap_is_that_of_its_definition() -> None:
    values = np.array([0.0, 1.0, 5.0])
    every = [np.mean(drawn) for drawn in product(values, repeat=3)]
    found = bootstrap(values, ChancePolicy(draws=20_000, within=0.8))
    assert found.low == pytest.approx(np.quantile(every, 0.1), abs=0.35)
    assert found.high == pytest.approx(np.quantile(every, 0.9), abs=0.35)


def test_the_seed_alone_decides() -> None:
    values = np.random.default_rng(0).random(50)
    assert bootstrap(values) == bootstrap(values)
    assert bootstrap(values, ChancePolicy(seed=1)) != bootstrap(values)


def test_p_is_the_share_of_all_signs_that_differ_as_much() -> None:
    ours, theirs = np.array([1.0, 0.5, 0.7, 0.9, 0.2]), np.array([0.6, 0.6, 0.1, 0.2, 0.1])
    difference = ours - theirs
    every = [abs(np.mean(difference * signs)) >= abs(difference.mean()) - 1e-12 for signs in product([1, -1], repeat=5)]
    found = paired(ours, theirs, ChancePolicy(draws=20_000))
    assert found.p == pytest.approx(np.mean(every), abs=0.01)
    assert found.estimate.mean == pytest.approx(difference.mean())


def test_the_same_model_differs_in_nothing_and_a_better_one_does() -> None:
    values = np.random.default_rng(0).random(200)
    assert paired(values, values) == Difference(Estimate(0.0, 0.0, 0.0), 1.0)
    better = paired(values + 0.1, values)
    assert better.p == pytest.approx(1 / 2001)
    assert str(better) == "+0.100 [+0.100, +0.100] p<0.001"


def test_nothing_has_no_mean_and_other_queries_no_difference() -> None:
    nothing = np.zeros(0)
    assert math.isnan(bootstrap(nothing).mean)
    assert math.isnan(paired(nothing, nothing).p)
    with pytest.raises(ValueError, match="not of the same queries"):
        paired(np.zeros(2), np.zeros(3))
