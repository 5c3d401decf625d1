"""What a person or a program looks for, before it is vectors and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from catalog.domain.filters import AnyOf, Condition
from catalog.domain.index_query import Fusion, IndexQuery
from catalog.domain.product import ProductKey, Scalar
from catalog.domain.space import FUSED
from catalog.ports import Hit


class Mode(StrEnum):
    """How products are found."""

    DENSE = "dense"  # by their vectors
    LEXICAL = "lexical"  # by the words of their titles, BM25
    HYBRID = "hybrid"  # by both, fused


class Sort(StrEnum):
    """How the best are put in order, where that is not by score; products without a price come last."""

    CHEAPEST = "price"
    DEAREST = "-price"


@dataclass(frozen=True, slots=True)
class QueryPart:
    """One thing that hits are like: words, the bytes of a picture, both read together, or a product that is there.

    A negative weight means unlike. A part of weight 0 is as good as not given.
    """

    text: str | None = None
    image: bytes | None = None
    product: ProductKey | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class FacetRequest:
    """A field whose values are to be counted, and how many values at most."""

    field: str
    limit: int = 10


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, what every hit must satisfy, and how the hits come.

    `tenant` is the only one whose products are seen, None for all of them. `mode` and `fusion` None are the policy's.
    `group_by` is a payload field: of the products that share its value (and tenant) the best is the hit, and up to
    `group_size` - 1 more come with it. `within_s` is the time for everything, None for the policy's.
    """

    parts: tuple[QueryPart, ...] = ()
    mode: Mode | None = None
    fusion: Fusion | None = None
    using: str = FUSED
    exact: bool = False
    ef: int | None = None
    conditions: tuple[Condition, ...] = ()
    tenant: str | None = None
    facets: tuple[FacetRequest, ...] = ()
    group_by: str | None = None
    group_size: int = 3
    sort: Sort | None = None
    limit: int = 20
    offset: int = 0
    within_s: float | None = None

    @property
    def all_conditions(self) -> tuple[Condition, ...]:
        """The filter's, and that the asker may see the product."""
        return self.conditions + only(self.tenant)


def only(tenant: str | None) -> tuple[Condition, ...]:
    """What the products satisfy that are seen by one who sees a tenant alone, or, with None, all."""
    return () if tenant is None else (AnyOf("tenant", (tenant,)),)


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """A query as it is asked of the index.

    `mode` is how it is answered, and `degraded` why that is less than was asked for: a sentence each.
    """

    ask: IndexQuery
    mode: Mode
    degraded: tuple[str, ...] = ()
    encode_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to a query. Times are in milliseconds.

    `variants` are the other products of a hit's group, by the hit's key; None where nothing was grouped. `facets` has
    values and how many products have them, by payload field, most frequent first.
    """

    hits: list[Hit]
    space: str
    encode_ms: float
    search_ms: float
    mode: Mode = Mode.DENSE
    degraded: tuple[str, ...] = ()
    variants: Mapping[ProductKey, Sequence[Hit]] | None = None
    facets: Mapping[str, Sequence[tuple[Scalar, int]]] = field(default_factory=dict)
    total_ms: float = 0.0
