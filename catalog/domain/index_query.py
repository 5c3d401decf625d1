"""A query of the live collection, by vector and words. The catalog builds it, an index adapter runs it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.domain.filters import Condition
from catalog.domain.product import ProductKey
from catalog.domain.space import FUSED


@dataclass(frozen=True, slots=True)
class ReciprocalRankFusion:
    """Reciprocal rank fusion: a product's score is the sum of weight / (k + rank) over the channels that found it.

    Ranks count from 1. Cormack, Clarke, Büttcher, SIGIR 2009, where k is 60.
    """

    k: int = 60
    dense: float = 1.0
    lexical: float = 1.0


@dataclass(frozen=True, slots=True)
class WeightedFusion:
    """A weighted sum of the channels' scores, each scaled to 0..1 over its channel's hits; a missing hit counts 0."""

    dense: float = 0.5

    @property
    def lexical(self) -> float:
        return 1.0 - self.dense


Fusion = ReciprocalRankFusion | WeightedFusion


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """One search: by `vector`, by `words`, or by both with rank fusion. At least one of them is given.

    - `vector`: float32 of shape (dim,), compared with the named vector `using`
    - `words`: matched against titles by BM25
    - `pool`: number of hits that each channel contributes to a fusion, at least offset + limit
    - `conditions`: every hit satisfies all of them
    - `without`: products that are excluded from the hits
    - `exact`: compares with every vector instead of searching the HNSW graph
    - `ef`: breadth of the graph search; None: the index decides
    - `within_s`: time limit of the search in seconds; None: no limit
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
