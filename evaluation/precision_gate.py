"""The precision gate: whether a model in another precision or runtime still finds the same products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.judgements import Judgements
from evaluation.metrics import gains_of, recall
from evaluation.ranking import by_vectors, rank

QUERY = "query"


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """The minimum cosine of all vectors except a share of `quantile`, and the maximum loss of recall@`places`."""

    cosine: float = 0.99
    quantile: float = 0.01
    loss: float = 0.005
    places: int = 10


@dataclass(frozen=True, slots=True)
class CatalogueVectors:
    """A model's vectors of a catalogue by name, (items, dim), NaN for a missing one; `ask` encodes (queries, dim)."""

    items: Mapping[str, NDArray[np.float32]]
    searched: str
    ask: Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class CosineSummary:
    """The cosines between two models' vectors of the same items: their number, the policy's quantile, the median."""

    count: int
    low: float
    median: float


@dataclass(frozen=True, slots=True)
class GateResult:
    """The cosines by name, and three recalls: of the reference, of the other model, and of a mix.

    The mix searches the other model's items with the reference's queries.
    """

    cosines: Mapping[str, CosineSummary]
    reference: float
    other: float
    mixed: float
    policy: GatePolicy

    def misses(self) -> Iterator[str]:
        """A sentence for each limit that is missed."""
        for name, summary in self.cosines.items():
            if not summary.low >= self.policy.cosine:
                place = f"p{100 * self.policy.quantile:g}"
                yield f"`{name}` has a cosine of {summary.low:.4f} at {place}, and {self.policy.cosine} is needed"
        for how, value in (("", self.other), (" with its items and the reference's queries", self.mixed)):
            if not self.reference - value <= self.policy.loss:
                yield (
                    f"{100 * (self.reference - value):.2f} points of recall@{self.policy.places} are lost{how}, "
                    f"and {100 * self.policy.loss:g} may be"
                )


def gate(
    reference: CatalogueVectors, other: CatalogueVectors, judged: Judgements, policy: GatePolicy = GatePolicy()
) -> GateResult:
    """Compare `other` with `reference`. Every search is exact."""
    cosines = {
        name: summary
        for name, rows in reference.items.items()
        if (summary := _summary(rows, other.items[name], policy))
    }
    texts = tuple(dict.fromkeys(judged.queries))
    if summary := _summary(reference.ask(texts), other.ask(texts), policy):
        cosines[QUERY] = summary
    return GateResult(
        cosines,
        reference=_recall(reference, reference, judged, policy),
        other=_recall(other, other, judged, policy),
        mixed=_recall(reference, other, judged, policy),
        policy=policy,
    )


def _summary(ours: NDArray[np.float32], theirs: NDArray[np.float32], policy: GatePolicy) -> CosineSummary | None:
    """None if neither has vectors. A vector that only one of them has counts as cosine -1."""
    ours, theirs = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (ours, theirs))
    present = np.isfinite(ours).all(1) | np.isfinite(theirs).all(1)
    if not present.any():
        return None
    cosines = np.nan_to_num((ours[present] * theirs[present]).sum(1), nan=-1.0)
    return CosineSummary(int(present.sum()), float(np.quantile(cosines, policy.quantile)), float(np.median(cosines)))


def _recall(querying: CatalogueVectors, searched: CatalogueVectors, judged: Judgements, policy: GatePolicy) -> float:
    scores = by_vectors(querying.ask, searched.items[searched.searched])
    ranking = rank(scores, judged.queries, k=policy.places, left_out=judged.left_out)
    return float(recall(gains_of(ranking, judged), policy.places).mean())
