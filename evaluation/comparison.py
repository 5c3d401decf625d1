"""Models side by side on the same judgements: every measure with its interval, by group, and their differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.bm25 import words
from evaluation.intervals import ChancePolicy, Difference, Estimate, bootstrap, paired
from evaluation.judgements import Judgements
from evaluation.metrics import PerQuery, RankingGains, beyond, mark, measured
from evaluation.ranking import Ranking, Scores, rank

ALL = "all"


@dataclass(frozen=True, slots=True)
class Depths:
    """At which places is measured, the first for every measure; how deep a ranking goes; how sure a mean is to be."""

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
    """One model's rankings (queries, depth), how they were judged, and each measure query by query."""

    name: str
    ranking: Ranking
    marks: RankingGains
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
    """Rank every judged query. With a lexical channel's ranking, what is found beyond it is measured too."""
    ranking = rank(scores, judged.queries, k=depths.deepest, left_out=judged.left_out, on_done=on_done)
    marks = mark(ranking, judged)
    values = dict(measured(marks, depths.ks))
    if lexical is not None:
        values[f"beyond words@{depths.first}"] = beyond(ranking, marks, lexical, depths.first)
    return EvaluatedModel(name, ranking, marks, values)


def groups_of(judged: Judgements) -> dict[str, NDArray[np.bool_]]:
    """Bool (queries,) of all, of each length in words, and of each group that the judgements name."""
    length = np.array([len(words(query)) for query in judged.queries])
    lengths = {"1 word": length <= 1, "2 words": length == 2, "3 words": length == 3, "4 words and more": length >= 4}
    found = {ALL: np.ones(len(length), bool)} | {name: there for name, there in lengths.items() if there.any()}
    return found | dict(judged.groups)


def estimates(
    model: EvaluatedModel, groups: Mapping[str, NDArray[np.bool_]], chance: ChancePolicy
) -> dict[str, dict[str, Estimate]]:
    """By group and measure, the mean and its interval."""
    return {
        group: {name: bootstrap(values[there], chance) for name, values in model.values.items()}
        for group, there in groups.items()
    }


def differences(
    ours: EvaluatedModel, theirs: EvaluatedModel, groups: Mapping[str, NDArray[np.bool_]], chance: ChancePolicy
) -> dict[str, dict[str, Difference]]:
    """By group and measure, what the first model has more than the second, paired query by query."""
    return {
        group: {
            name: paired(values[there], theirs.values[name][there], chance)
            for name, values in ours.values.items()
            if name in theirs.values
        }
        for group, there in groups.items()
    }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that is said of the models, the first of which is the one the others are compared with."""

    judged: Judgements
    models: tuple[EvaluatedModel, ...]
    groups: Mapping[str, NDArray[np.bool_]]
    estimates: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    differences: Mapping[str, Mapping[str, Mapping[str, Difference]]]
    items: int
    depths: Depths

    @property
    def sizes(self) -> dict[str, int]:
        """How many queries each group has."""
        return {group: int(there.sum()) for group, there in self.groups.items()}


def compare(
    models: Sequence[EvaluatedModel], judged: Judgements, *, items: int, depths: Depths = Depths()
) -> Comparison:
    """The findings of these models, all evaluated on the same judgements over the same number of items."""
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


def as_json(found: Comparison) -> dict[str, Any]:
    """The findings as JSON has them; a figure of no query is null."""
    return {
        "queries": len(found.judged.queries),
        "items": found.items,
        "judgements": len(found.judged.grade),
        "skipped": dict(found.judged.skipped.counts),
        "interval": found.depths.chance.within,
        "draws": found.depths.chance.draws,
        "seed": found.depths.chance.seed,
        "groups": found.sizes,
        "models": {
            model: {group: {name: _estimate(e) for name, e in said.items()} for group, said in by_group.items()}
            for model, by_group in found.estimates.items()
        },
        "differences": {
            f"{found.models[0].name} - {other}": {
                group: {name: {**_estimate(d.estimate), "p": _figure(d.p)} for name, d in said.items()}
                for group, said in by_group.items()
            }
            for other, by_group in found.differences.items()
        },
    }


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {"mean": _figure(estimate.mean), "low": _figure(estimate.low), "high": _figure(estimate.high)}


def _figure(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)
