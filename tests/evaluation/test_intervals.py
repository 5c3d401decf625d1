from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaluation.intervals import ChancePolicy, Difference, Estimate, bootstrap, paired


def test_the_interval_of_many_values_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 4000)
    estimate = bootstrap(values)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - half, abs=half / 5)
    assert estimate.high == pytest.approx(values.mean() + half, abs=half / 5)


def test_the_interval_covers_the_true_mean_as_often_as_it_states() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        estimate = bootstrap(rng.binomial(1, 0.3, 80).astype(float), ChancePolicy(draws=300))
        covered += estimate.low <= 0.3 <= estimate.high
    assert 0.88 <= covered / 200 <= 0.99


def test_a_bootstrap_follows_its_definition() -> None:
    values = np.array([0.0, 1.0, 5.0])
    every = [np.mean(sample) for sample in product(values, repeat=3)]
    estimate = bootstrap(values, ChancePolicy(draws=20_000, within=0.8))
    assert estimate.low == pytest.approx(np.quantile(every, 0.1), abs=0.35)
    assert estimate.high == pytest.approx(np.quantile(every, 0.9), abs=0.35)


def test_the_seed_decides() -> None:
    values = np.random.default_rng(0).random(50)
    assert bootstrap(values) == bootstrap(values)
    assert bootstrap(values, ChancePolicy(seed=1)) != bootstrap(values)


def test_p_is_the_share_of_signs_with_as_large_a_difference() -> None:
    ours, theirs = np.array([1.0, 0.5, 0.7, 0.9, 0.2]), np.array([0.6, 0.6, 0.1, 0.2, 0.1])
    difference = ours - theirs
    every = [abs(np.mean(difference * signs)) >= abs(difference.mean()) - 1e-12 for signs in product([1, -1], repeat=5)]
    result = paired(ours, theirs, ChancePolicy(draws=20_000))
    assert result.p == pytest.approx(np.mean(every), abs=0.01)
    assert result.estimate.mean == pytest.approx(difference.mean())


def test_equal_models_do_not_differ_and_a_better_one_does() -> None:
    values = np.random.default_rng(0).random(200)
    assert paired(values, values) == Difference(Estimate(0.0, 0.0, 0.0), 1.0)
    better = paired(values + 0.1, values)
    assert better.p == pytest.approx(1 / 2001)
    assert str(better) == "+0.100 [+0.100, +0.100] p<0.001"


def test_no_values_have_no_mean_and_other_queries_are_refused() -> None:
    nothing = np.zeros(0)
    assert math.isnan(bootstrap(nothing).mean)
    assert math.isnan(paired(nothing, nothing).p)
    with pytest.raises(ValueError, match="not of the same queries"):
        paired(np.zeros(2), np.zeros(3))


def test_a_single_value_is_its_own_interval() -> None:
    assert bootstrap(np.array([0.25])) == Estimate(0.25, 0.25, 0.25)
    assert paired(np.array([1.0]), np.array([0.5])) == Difference(Estimate(0.5, 0.5, 0.5), 1.0)


DRAWS = 2000
VALUES = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 2 / 3, 1.0]), min_size=2, max_size=40).map(np.array)


def within_error(share: float, expected: float) -> bool:
    """Whether two shares of `DRAWS` random draws differ by at most five standard errors."""
    return abs(share - expected) <= 5 * math.sqrt(2 * max(expected * (1 - expected), 1 / DRAWS) / DRAWS)


@given(VALUES, st.sampled_from([0.5, 0.8, 0.95]))
@settings(max_examples=50, derandomize=True, deadline=None)
def test_intervals_agree_with_resampling_by_hand(values: NDArray[np.float64], within: float) -> None:
    """Each bound has the stated share of independently resampled means below it, up to Monte-Carlo error."""
    estimate = bootstrap(values, ChancePolicy(DRAWS, within, seed=1))
    means = values[np.random.default_rng(2).integers(len(values), size=(DRAWS, len(values)))].mean(1)
    for bound, expected in ((estimate.low, (1 - within) / 2), (estimate.high, (1 + within) / 2)):
        below, up_to = (means < bound - 1e-9).mean(), (means <= bound + 1e-9).mean()
        assert below <= expected or within_error(below, expected)
        assert up_to >= expected or within_error(up_to, expected)


@given(VALUES)
@settings(max_examples=50, derandomize=True, deadline=None)
def test_p_agrees_with_flipping_signs_by_hand(ours: NDArray[np.float64]) -> None:
    theirs = np.random.default_rng(3).permutation(ours) * 0.9
    p = paired(ours, theirs, ChancePolicy(DRAWS, seed=1)).p
    signs = np.random.default_rng(2).choice([-1, 1], size=(DRAWS, len(ours)))
    means = np.abs((signs * (ours - theirs)).mean(1))
    expected = ((means >= abs((ours - theirs).mean()) - 1e-12).sum() + 1) / (DRAWS + 1)
    assert within_error(p, expected)
