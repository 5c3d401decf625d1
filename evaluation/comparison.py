"""Compares models on the same judgements: every metric with its interval, by group, and paired differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.bm25 import words
from evaluation.intervals import ChancePolicy, Difference, Estimate, bootstrap, paired
from evaluation.judgements import Judgements
from evaluation.metrics import PerQuery, RankingGains, all_metrics, gains_of, recall_beyond
from evaluation.ranking import Ranking, Scores, rank

ALL = "all"


@dataclass(frozen=True, slots=True)
class Depths:
    """The depths k of the metrics, of which the first is used by all, and the policy of intervals and tests."""

    ks: tuple[int, ...] = (10, 100)
    chance: ChancePolicy = field(default_factory=ChancePolicy)

    @property
    def first(self) -> int:
        return self.ks[0]

    @property
    def deepest(self) -> int:
        return max(self.ks)


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """One model's rankings (queries, depth), their gains, and each metric by query."""

    name: str
    ranking: Ranking
    gains: RankingGains
    values: Mapping[str, PerQuery]


def evaluate(
    name: str,
    scores: Scores,
    judged: Judgements,
    *,
    depths: Depths = Depths(),
    lexical: Ranking | None = None,
    on_done: Callable[[int], None] = lambda done: None,
) -> EvaluatedModel:
    """Rank every judged query. A `lexical` ranking adds the metric of relevant items that it misses."""
    ranking = rank(scores, judged.queries, k=depths.deepest, left_out=judged.left_out, on_done=on_done)
    gains = gains_of(ranking, judged)
    values = dict(all_metrics(gains, depths.ks))
    if lexical is not None:
        values[f"beyond words@{depths.first}"] = recall_beyond(ranking, gains, lexical, depths.first)
    return EvaluatedModel(name, ranking, gains, values)


def groups_of(judged: Judgements) -> dict[str, NDArray[np.bool_]]:
    """Bool (queries,) for all queries, for each length in words, and for each group of the judgements."""
    length = np.array([len(words(query)) for query in judged.queries])
    lengths = {"1 word": length <= 1, "2 words": length == 2, "3 words": length == 3, "4 words and more": length >= 4}
    groups = {ALL: np.ones(len(length), bool)} | {name: mask for name, mask in lengths.items() if mask.any()}
    return groups | dict(judged.groups)


def estimates(
    model: EvaluatedModel, groups: Mapping[str, NDArray[np.bool_]], chance: ChancePolicy
) -> dict[str, dict[str, Estimate]]:
    """By group and metric, the mean and its interval."""
    return {
        group: {name: bootstrap(values[mask], chance) for name, values in model.values.items()}
        for group, mask in groups.items()
    }


def differences(
    ours: EvaluatedModel, theirs: EvaluatedModel, groups: Mapping[str, NDArray[np.bool_]], chance: ChancePolicy
) -> dict[str, dict[str, Difference]]:
    """By group and metric, the first model minus the second, paired by query."""
    return {
        group: {
            name: paired(values[mask], theirs.values[name][mask], chance)
            for name, values in ours.values.items()
            if name in theirs.values
        }
        for group, mask in groups.items()
    }


@dataclass(frozen=True, slots=True)
class Comparison:
    """The results of all models. The others are compared with the first one."""

    judged: Judgements
    models: tuple[EvaluatedModel, ...]
    groups: Mapping[str, NDArray[np.bool_]]
    estimates: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    differences: Mapping[str, Mapping[str, Mapping[str, Difference]]]
    items: int
    depths: Depths

    @property
    def sizes(self) -> dict[str, int]:
        """The number of queries by group."""
        return {group: int(mask.sum()) for group, mask in self.groups.items()}


def compare(
    models: Sequence[EvaluatedModel], judged: Judgements, *, items: int, depths: Depths = Depths()
) -> Comparison:
    """Compare models that were evaluated on the same judgements over the same number of items."""
    groups = groups_of(judged)
    return Comparison(
        judged=judged,
        models=tuple(models),
        groups=groups,
        estimates={model.name: estimates(model, groups, depths.chance) for model in models},
        differences={other.name: differences(models[0], other, groups, depths.chance) for other in models[1:]},
        items=items,
        depths=depths,
    )


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as a JSON object. A figure over no query is null."""
    return {
        "queries": len(comparison.judged.queries),
        "items": comparison.items,
        "judgements": len(comparison.judged.grade),
        "skipped": dict(comparison.judged.skipped.counts),
        "interval": comparison.depths.chance.within,
        "draws": comparison.depths.chance.draws,
        "seed": comparison.depths.chance.seed,
        "groups": comparison.sizes,
        "models": {
            model: {group: {name: _estimate(e) for name, e in metrics.items()} for group, metrics in by_group.items()}
            for model, by_group in comparison.estimates.items()
        },
        "differences": {
            f"{comparison.models[0].name} - {other}": {
                group: {name: {**_estimate(d.estimate), "p": _figure(d.p)} for name, d in metrics.items()}
                for group, metrics in by_group.items()
            }
            for other, by_group in comparison.differences.items()
        },
    }


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {"mean": _figure(estimate.mean), "low": _figure(estimate.low), "high": _figure(estimate.high)}


def _figure(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)
