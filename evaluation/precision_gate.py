"""Whether a model that is computed in another way, as in fewer bits, still finds what it found: the gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.judgements import Judgements
from evaluation.metrics import mark, recall
from evaluation.ranking import by_vectors, rank

QUERY = "query"


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """The cosine that all vectors but a share of `quantile` must have, and the recall@`places` that may be lost."""

    cosine: float = 0.99
    quantile: float = 0.01
    loss: float = 0.005
    places: int = 10


@dataclass(frozen=True, slots=True)
class CatalogueVectors:
    """What a model makes of a catalogue: each named vector (items, dim), NaN for none; `ask` encodes (queries, dim)."""

    items: Mapping[str, NDArray[np.float32]]
    searched: str
    ask: Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class CosineSummary:
    """Of the cosines between two ways' vectors of the same things: how many, the policy's quantile, and the median."""

    count: int
    low: float
    median: float


@dataclass(frozen=True, slots=True)
class GateResult:
    """What was found. `recalls` are of the reference, of the other way alone, and of its items for the reference's
    queries.
    """

    nearness: Mapping[str, CosineSummary]
    reference: float
    other: float
    mixed: float
    policy: GatePolicy

    def misses(self) -> Iterator[str]:
        """A sentence for each thing that is not as it must be."""
        for name, near in self.nearness.items():
            if not near.low >= self.policy.cosine:
                place = f"p{100 * self.policy.quantile:g}"
                yield f"`{name}` has a cosine of {near.low:.4f} at {place}, and {self.policy.cosine} is needed"
        for said, found in (("", self.other), (" with its items and the reference's queries", self.mixed)):
            if not self.reference - found <= self.policy.loss:
                yield (
                    f"{100 * (self.reference - found):.2f} points of recall@{self.policy.places} are lost{said}, "
                    f"and {100 * self.policy.loss:g} may be"
                )


def gate(
    reference: CatalogueVectors, other: CatalogueVectors, judged: Judgements, policy: GatePolicy = GatePolicy()
) -> GateResult:
    """Hold `other` against `reference`. Every search is exact."""
    nearness = {
        name: near for name, rows in reference.items.items() if (near := _nearness(rows, other.items[name], policy))
    }
    texts = tuple(dict.fromkeys(judged.queries))
    if near := _nearness(reference.ask(texts), other.ask(texts), policy):
        nearness[QUERY] = near
    return GateResult(
        nearness,
        reference=_recall(reference, reference, judged, policy),
        other=_recall(other, other, judged, policy),
        mixed=_recall(reference, other, judged, policy),
        policy=policy,
    )


def _nearness(ours: NDArray[np.float32], theirs: NDArray[np.float32], policy: GatePolicy) -> CosineSummary | None:
    """None where neither has any; a vector that one alone has counts as the worst."""
    ours, theirs = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (ours, theirs))
    there = np.isfinite(ours).all(1) | np.isfinite(theirs).all(1)
    if not there.any():
        return None
    cosines = np.nan_to_num((ours[there] * theirs[there]).sum(1), nan=-1.0)
    return CosineSummary(int(there.sum()), float(np.quantile(cosines, policy.quantile)), float(np.median(cosines)))


def _recall(asks: CatalogueVectors, has: CatalogueVectors, judged: Judgements, policy: GatePolicy) -> float:
    scores = by_vectors(asks.ask, has.items[has.searched])
    ranking = rank(scores, judged.queries, k=policy.places, left_out=judged.left_out)
    return float(recall(mark(ranking, judged), policy.places).mean())
