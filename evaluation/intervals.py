"""How sure a mean is: bootstrap intervals over queries, and paired tests between two models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class ChancePolicy:
    """How often is drawn, from which seed, and how much of the drawn lies within an interval."""

    draws: int = 2000
    within: float = 0.95
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and the bounds of its interval; all NaN of nothing."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more one model has than another on the same queries, and how likely chance alone makes as much."""

    estimate: Estimate
    p: float

    def __str__(self) -> str:
        e = self.estimate
        p = "<0.001" if self.p < 0.001 else f"={self.p:.3f}"
        return f"{e.mean:+.3f} [{e.low:+.3f}, {e.high:+.3f}] p{p}"


def bootstrap(values: NDArray[np.float64], policy: ChancePolicy = ChancePolicy()) -> Estimate:
    """The mean of values (n,) with the percentile interval of means of as many drawn with replacement."""
    n = len(values)
    if not n:
        return Estimate(np.nan, np.nan, np.nan)
    draw = np.random.default_rng(policy.seed)
    means = np.empty(policy.draws)
    for start in range(0, policy.draws, _AT_ONCE):
        some = min(_AT_ONCE, policy.draws - start)
        means[start : start + some] = values[draw.integers(n, size=(some, n))].mean(1)
    outside = (1 - policy.within) / 2
    low, high = np.quantile(means, [outside, 1 - outside])
    return Estimate(float(values.mean()), float(low), float(high))


def paired(ours: NDArray[np.float64], theirs: NDArray[np.float64], policy: ChancePolicy = ChancePolicy()) -> Difference:
    """The mean difference, its bootstrap interval, and p of the two-sided randomisation test.

    The test turns the sign of each query's difference at random: were the models alike, no sign would matter.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"figures of {ours.shape} and {theirs.shape} are not of the same queries")
    difference = ours - theirs
    estimate = bootstrap(difference, policy)
    if not len(difference):
        return Difference(estimate, np.nan)
    draw = np.random.default_rng(policy.seed)
    seen = abs(difference.mean()) * (1 - 1e-12)  # the same sum in another order may round down
    as_much = 0
    for start in range(0, policy.draws, _AT_ONCE):
        some = min(_AT_ONCE, policy.draws - start)
        signs = draw.integers(2, size=(some, len(difference)), dtype=np.int8) * 2 - 1
        as_much += int((np.abs((signs * difference).mean(1)) >= seen).sum())
    return Difference(estimate, (as_much + 1) / (policy.draws + 1))
