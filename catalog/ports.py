"""What the catalog needs from the world. Adapters live in encoders, indexer and streams; fakes in tests/fakes.py."""

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
    """One item ready for the device. `inputs` belongs to the encoder that made it; nobody else looks inside."""

    image_state: ImageState
    image_reason: str
    inputs: object


@dataclass(frozen=True, slots=True)
class EncodedItem:
    """The vectors of one item by name: float32 of shape (dim,), L2-normalised. A name may be absent (no photo)."""

    vectors: Mapping[str, Vector]
    image_state: ImageState
    image_reason: str = ""


class ItemEncoder(Protocol):
    """Products to vectors, in two steps so that the CPU's share of one batch can overlap the device's of another."""

    @property
    def space(self) -> Space: ...

    async def prepare(self, items: Sequence[Content]) -> Sequence[PreparedItem]:
        """Fetch, check and decode photos, tokenize titles. An image that cannot be had is a state, never an error."""
        ...

    async def encode(self, prepared: Sequence[PreparedItem]) -> Sequence[EncodedItem | None]:
        """One forward over the batch, in order. None where no finite vector came out.

        Raises Unavailable or Hopeless for the device as a whole.
        """
        ...


class QueryEncoder(Protocol):
    """Queries to vectors of the same space, by a method of their own: items and queries may differ."""

    @property
    def space(self) -> Space: ...

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        """One vector (dim,) of the space's fused vectors. Raises ImageProblem for an image that is none."""
        ...


class ImageSource(Protocol):
    async def fetch(self, url: str) -> bytes:
        """The bytes behind an http(s), s3, file or data URL. Raises ImageProblem."""
        ...


@dataclass(frozen=True, slots=True)
class ProductWrite:
    """One point to be written, if the point is still what `expect` says.

    `expect` is the revision of the state it was decided on, None where there was no point. With `vectors` None only
    the given payload fields change and the rest of the point stays; otherwise the point is replaced whole. `held` is
    that rest as `known` read it, None where it is yet to be read.
    """

    key: ProductKey
    expect: str | None
    payload: Payload
    vectors: Mapping[str, Vector] | None = None
    held: object | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write left undone: points that had moved on (decide again), and points the index calls invalid (why)."""

    moved: frozenset[ProductKey] = frozenset()
    invalid: Mapping[ProductKey, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """A product found: its key, cosine similarity to the query, and its payload."""

    key: ProductKey
    score: float
    payload: Payload


@dataclass(frozen=True, slots=True)
class CandidateColumns:
    """Candidates as columns of one length, best first: cheap to make, to send, and to rank on.

    `scores` is float32, `content_versions` and `offer_versions` are int64. `fields` has a list per payload field
    asked for, None where a product does not have it.
    """

    tenants: Sequence[str]
    ids: Sequence[str]
    scores: Vector
    content_versions: NDArray[np.int64]
    offer_versions: NDArray[np.int64]
    fields: Mapping[str, Sequence[object]] = field(default_factory=dict)


class ProductWriter(Protocol):
    """The write side of the live collection. Every method raises Unavailable when the index does not serve."""

    async def known(
        self, keys: Collection[ProductKey], *, whole: Collection[ProductKey] = ()
    ) -> dict[ProductKey, IndexedState]:
        """What the index knows of these products; absent where it has no point.

        Those of `whole` come with what they hold besides, so that a write of some of their fields need not read again.
        """
        ...

    async def write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        """Applied when it returns. One guarded request for the batch; keys are distinct."""
        ...


class ImageRetryQueue(Protocol):
    """Which products wait for another try at their photo."""

    async def due(self, now_ms: int, *, limit: int) -> Sequence[Payload]:
        """The whole payloads of up to `limit` live products whose `image_retry_at` has come, in milliseconds.

        Any of them where there are more. Raises Unavailable.
        """
        ...


class ProductReader(Protocol):
    """The read side of the live collection. Every method raises Unavailable when the index does not serve."""

    async def search(self, ask: IndexQuery) -> list[Hit]:
        """The live products that answer, best first."""
        ...

    async def get(self, key: ProductKey) -> Payload | None:
        """A live product's payload."""
        ...

    async def count(self, conditions: Sequence[Condition] = ()) -> int:
        """How many live products there are, exactly."""
        ...


class VectorReader(Protocol):
    """What products look like to the model."""

    async def vectors(self, key: ProductKey) -> Mapping[str, Vector] | None:
        """A live product's vectors by name, each float32 of shape (dim,); None where there is no live product."""
        ...


class FacetReader(Protocol):
    """What live products say of themselves, counted."""

    async def fields(self, conditions: Sequence[Condition] = ()) -> Mapping[str, str]:
        """The payload fields that can be filtered on, and what each holds: keyword, number, bool, any.

        Of the live products that satisfy all conditions: what another tenant's products are like is not told.
        """
        ...

    async def counted(self) -> Collection[str]:
        """The payload fields whose values can be counted, whoever's products have them."""
        ...

    async def facet(self, field: str, conditions: Sequence[Condition], *, limit: int) -> list[tuple[Scalar, int]]:
        """The values of a field among the live products that satisfy all conditions, most frequent first."""
        ...


class RecentProducts(Protocol):
    """What happened last."""

    async def newest(self, conditions: Sequence[Condition] = (), *, limit: int) -> Sequence[tuple[ProductKey, Payload]]:
        """The live products that satisfy all conditions, those with the latest events first. Raises Unavailable."""
        ...


class CandidateReader(Protocol):
    """The wide and cheap channel: thousands of ids at the price of a few hits."""

    async def candidates(self, ask: IndexQuery, *, fields: Sequence[str] = ()) -> CandidateColumns:
        """The live products that answer, best first, as columns; `fields` are payload fields to bring along."""
        ...


class Quarantine(Protocol):
    async def put(self, rejects: Sequence[Reject]) -> None:
        """Kept when it returns. Raises Unavailable."""
        ...
