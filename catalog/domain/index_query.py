"""What is asked of the live collection, once the query is vectors and words: policy says what, an index says how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.domain.filters import Condition
from catalog.domain.product import ProductKey
from catalog.domain.space import FUSED


@dataclass(frozen=True, slots=True)
class ReciprocalRankFusion:
    """Reciprocal rank fusion: a product's score is the sum of weight / (k + rank) over the channels it is found in.

    Ranks count from 1. Cormack, Clarke, Büttcher, SIGIR 2009, where k is 60.
    """

    k: int = 60
    dense: float = 1.0
    lexical: float = 1.0


@dataclass(frozen=True, slots=True)
class WeightedFusion:
    """A weighted sum of the channels' scores, each scaled to 0..1 over what its channel found; absent counts as 0."""

    dense: float = 0.5

    @property
    def lexical(self) -> float:
        return 1.0 - self.dense


Fusion = ReciprocalRankFusion | WeightedFusion


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """One search: by `vector`, by `words`, or by both, fused. At least one of them is given.

    `vector` is float32 of shape (dim,) of the named vector `using`; `words` are looked for in titles, by BM25. `pool`
    is how many each channel brings to a fusion, at least offset + limit. Conditions all hold for every hit;
    `without` are products that are no hit. `exact` compares with every vector, whatever graph there is; `ef` is how
    widely a graph is searched, None for the index's own choice. `within_s` is the time the answer may take.
    """

    vector: NDArray[np.float32] | None = None
    words: str | None = None
    using: str = FUSED
    fusion: Fusion = ReciprocalRankFusion()
    pool: int = 200
    limit: int = 20
    offset: int = 0
    conditions: tuple[Condition, ...] = ()
    without: tuple[ProductKey, ...] = ()
    exact: bool = False
    ef: int | None = None
    within_s: float | None = None
