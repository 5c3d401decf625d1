"""The ports of the catalog. Adapters live in encoders, indexer and streams; fakes in tests/fakes.py."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catalog.domain.filters import Condition
from catalog.domain.image_state import ImageState
from catalog.domain.index_query import IndexQuery
from catalog.domain.product import Content, ProductKey, Scalar
from catalog.domain.record import Reject
from catalog.domain.space import Space
from catalog.domain.state import IndexedState, Payload

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PreparedItem:
    """One item ready for the device. `inputs` is opaque to all but the encoder that made it."""

    image_state: ImageState
    image_reason: str
    inputs: object


@dataclass(frozen=True, slots=True)
class EncodedItem:
    """The vectors of one item by name: float32 of shape (dim,), L2-normalised. Without a photo a name may be absent."""

    vectors: Mapping[str, Vector]
    image_state: ImageState
    image_reason: str = ""


class ItemEncoder(Protocol):
    """Encodes products, in two steps so that the CPU work of one batch can overlap the device work of another."""

    @property
    def space(self) -> Space: ...

    async def prepare(self, items: Sequence[Content]) -> Sequence[PreparedItem]:
        """Fetch, check and decode photos, tokenize titles. A failed image is an `image_state`, never an error."""
        ...

    async def encode(self, prepared: Sequence[PreparedItem]) -> Sequence[EncodedItem | None]:
        """One forward pass over the batch, in order. None for an item whose vector is not finite.

        Raises Unavailable or FatalError if the device as a whole fails.
        """
        ...


class QueryEncoder(Protocol):
    """Encodes queries into the same space. The model may treat queries and items differently."""

    @property
    def space(self) -> Space: ...

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        """One vector (dim,) of the space's fused vectors. Raises ImageProblem if the bytes are not an image."""
        ...


class ImageSource(Protocol):
    async def fetch(self, url: str) -> bytes:
        """The bytes behind an http(s), s3, file or data URL. Raises ImageProblem."""
        ...


@dataclass(frozen=True, slots=True)
class ProductWrite:
    """A compare-and-set write of one point: it holds only if the point still has the expected revision.

    `expected_revision` is None if no point may exist. With `vectors` None the write changes only the given payload
    fields; otherwise it replaces the whole point. `stored` is the stored point that `read_states` returned; None: the
    index reads it first if it needs it.
    """

    key: ProductKey
    expected_revision: str | None
    payload: Payload
    vectors: Mapping[str, Vector] | None = None
    stored: object | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The writes that were not applied: revision conflicts (decide again), and invalid points with the reason."""

    conflicts: frozenset[ProductKey] = frozenset()
    invalid: Mapping[ProductKey, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """A product found: its key, its score (cosine, BM25 or fused) and its payload."""

    key: ProductKey
    score: float
    payload: Payload


@dataclass(frozen=True, slots=True)
class CandidateColumns:
    """Candidates as columns of equal length, best first: cheap to build, to send and to rank.

    `scores` is float32, `content_versions` and `offer_versions` are int64. `fields` has one list for each requested
    payload field, with None if a product does not have it.
    """

    tenants: Sequence[str]
    ids: Sequence[str]
    scores: Vector
    content_versions: NDArray[np.int64]
    offer_versions: NDArray[np.int64]
    fields: Mapping[str, Sequence[object]] = field(default_factory=dict)


class ProductWriter(Protocol):
    """The write side of the live collection. Every method raises Unavailable if the index does not answer."""

    async def read_states(
        self, keys: Collection[ProductKey], *, with_stored_point: Collection[ProductKey] = ()
    ) -> dict[ProductKey, IndexedState]:
        """The indexed states of these products, without those that have no point.

        States of the keys in `with_stored_point` have `stored` set, so that a payload-only write need not read again.
        """
        ...

    async def write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        """Apply compare-and-set writes, in one request for the batch; keys are distinct. Applied when it returns."""
        ...


class ImageRetryQueue(Protocol):
    """The products that wait for another attempt to fetch their photo."""

    async def due(self, now_ms: int, *, limit: int) -> Sequence[Payload]:
        """The full payloads of up to `limit` live products whose `image_retry_at` is at most `now_ms`.

        `now_ms` is in milliseconds since the epoch. If more products are due, which ones return is not defined. Raises
        Unavailable.
        """
        ...


class ProductReader(Protocol):
    """The read side of the live collection. Every method raises Unavailable if the index does not answer."""

    async def search(self, query: IndexQuery) -> list[Hit]:
        """The live products that match, best first."""
        ...

    async def get(self, key: ProductKey) -> Payload | None:
        """A live product's payload; None if there is no such product."""
        ...

    async def count(self, conditions: Sequence[Condition] = ()) -> int:
        """The exact number of live products that satisfy all conditions."""
        ...


class VectorReader(Protocol):
    """Reads the stored vectors of products."""

    async def vectors(self, key: ProductKey) -> Mapping[str, Vector] | None:
        """A live product's vectors by name, each float32 of shape (dim,); None if there is no such product."""
        ...


class FacetReader(Protocol):
    """The filterable fields of live products, and counts of their values."""

    async def fields(self, conditions: Sequence[Condition] = ()) -> Mapping[str, str]:
        """The payload fields that can be filtered on, and the type of each: keyword, number, bool, any.

        Only live products that satisfy all conditions count, so another tenant's fields stay hidden.
        """
        ...

    async def countable(self) -> Collection[str]:
        """The payload fields whose values can be counted, over the products of all tenants."""
        ...

    async def facet(self, field: str, conditions: Sequence[Condition], *, limit: int) -> list[tuple[Scalar, int]]:
        """The values of a field among the live products that satisfy all conditions, most frequent first."""
        ...


class RecentProducts(Protocol):
    """The products with the newest events."""

    async def newest(self, conditions: Sequence[Condition] = (), *, limit: int) -> Sequence[tuple[ProductKey, Payload]]:
        """The live products that satisfy all conditions, those with the newest events first. Raises Unavailable."""
        ...


class CandidateReader(Protocol):
    """Retrieves candidates: thousands of ids at the cost of a few hits."""

    async def candidates(self, query: IndexQuery, *, fields: Sequence[str] = ()) -> CandidateColumns:
        """The live products that match, best first, as columns, with the payload fields `fields`."""
        ...


class Quarantine(Protocol):
    async def put(self, rejects: Sequence[Reject]) -> None:
        """Store rejected records. Stored when it returns. Raises Unavailable."""
        ...
