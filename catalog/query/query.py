"""A query as a caller states it, and its result."""

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
    HYBRID = "hybrid"  # by both, with rank fusion


class Sort(StrEnum):
    """The order of the best hits, if not by score. Products without a price come last."""

    CHEAPEST = "price"
    DEAREST = "-price"


@dataclass(frozen=True, slots=True)
class QueryPart:
    """One target of a query: text, the bytes of an image, text and image together, or a live product.

    Hits resemble the parts with a positive weight, and differ from those with a negative one. A part of weight 0 is
    ignored.
    """

    text: str | None = None
    image: bytes | None = None
    product: ProductKey | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class FacetRequest:
    """A field whose values are counted, and the maximum number of values."""

    field: str
    limit: int = 10


@dataclass(frozen=True, slots=True)
class Query:
    """Parts to search for, conditions on every hit, and the form of the result.

    - `tenant`: only its products are visible; None: those of all tenants
    - `mode`, `fusion`: None: the policy decides
    - `group_by`: a payload field; of the products of one tenant that share its value only the best is a hit, and up
      to `group_size` - 1 more come with it as variants
    - `within_s`: the time limit in seconds; None: the policy decides
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
        """The conditions of the filter, and the one that restricts hits to the tenant."""
        return self.conditions + tenant_conditions(self.tenant)


def tenant_conditions(tenant: str | None) -> tuple[Condition, ...]:
    """The conditions that restrict products to a tenant; none for all tenants (None)."""
    return () if tenant is None else (AnyOf("tenant", (tenant,)),)


@dataclass(frozen=True, slots=True)
class ResolvedQuery:
    """A validated query in the form that the index runs.

    `mode` is the mode of the answer. `degraded` has one sentence for each reason why the answer is less than requested.
    """

    index_query: IndexQuery
    mode: Mode
    degraded: tuple[str, ...] = ()
    encode_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a query. Times are in milliseconds.

    `variants` are the other products of a hit's group, by the key of the hit; None without grouping. `facets` has the
    values of each payload field and their numbers of products, most frequent first.
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
