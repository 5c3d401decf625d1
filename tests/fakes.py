"""In-memory implementations of the ports, for tests of other things. No clock, no network, no policy."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np

from catalog.domain.filters import AnyOf, Condition, Exists, Not
from catalog.domain.image_state import ImageState
from catalog.domain.index_query import IndexQuery
from catalog.domain.product import Content, ProductKey, Scalar
from catalog.domain.record import Reject
from catalog.domain.space import FUSED, IMAGE, Space
from catalog.domain.state import IndexedState, Payload, indexed_state_from
from catalog.ports import EncodedItem, Hit, PreparedItem, ProductWrite, Vector, WriteResult
from catalog.query.rank_fusion import fused

SPACE = Space(model="fake", revision="1", preprocessing="none", vectors={FUSED: 8, IMAGE: 4})
INTERNALS = ("clock", "revision", "fingerprint")


def unit(seed: str, dim: int) -> Vector:
    """A vector (dim,) of length 1 that depends on the seed alone."""
    digest = int.from_bytes(blake2b(seed.encode("utf-8", "replace"), digest_size=8).digest(), "big")
    vector = np.random.default_rng(digest).standard_normal(dim).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


@dataclass
class FakeIndex:
    """All ports of the index except CandidateReader, over a dict. Every call raises `failure` while it is set."""

    space: Space = SPACE
    failure: Exception | None = None
    points: dict[ProductKey, tuple[Payload, Mapping[str, Vector]]] = field(default_factory=dict)
    batches: list[list[ProductWrite]] = field(default_factory=list)

    async def read_states(
        self, keys: Collection[ProductKey], *, with_stored_point: Collection[ProductKey] = ()
    ) -> dict[ProductKey, IndexedState]:
        self._fail()
        return {key: indexed_state_from(self.points[key][0]) for key in keys if key in self.points}

    async def write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        self._fail()
        self.batches.append(list(writes))
        invalid = {w.key: reason for w in writes if (reason := self._invalid(w))}
        conflicts = {w.key for w in writes if w.key not in invalid and not self._apply(w)}
        return WriteResult(frozenset(conflicts), invalid)

    async def due(self, now_ms: int, *, limit: int) -> Sequence[Payload]:
        self._fail()
        live = [{**p, **key._asdict()} for key, (p, _) in self.points.items() if p["live"]]
        return [p for p in live if (at := p.get("image_retry_at")) is not None and at <= now_ms][:limit]

    async def search(self, query: IndexQuery) -> list[Hit]:
        self._fail()
        matching = {
            key: point
            for key, point in self.points.items()
            if key not in query.without and _satisfies_all(key, point[0], query.conditions)
        }
        channels: list[list[tuple[ProductKey, float]]] = []
        if query.vector is not None:
            vectors = {key: v[query.using] for key, (_, v) in matching.items() if query.using in v}
            channels.append(_best_first({key: float(np.dot(query.vector, v)) for key, v in vectors.items()}))
        if query.words is not None:
            # A simple stand-in for the engine's BM25: the number of query words in the title.
            words = _words(query.words)
            common = {key: words & _words(payload.get("title", "")) for key, (payload, _) in matching.items()}
            channels.append(_best_first({key: float(len(both)) for key, both in common.items() if both}))
        pool = max(query.pool, query.offset + query.limit)
        ranking = fused(query.fusion, channels[0][:pool], channels[1][:pool]) if len(channels) == 2 else channels[0]
        page = ranking[query.offset : query.offset + query.limit]
        return [Hit(key, score, _public(matching[key][0])) for key, score in page]

    async def get(self, key: ProductKey) -> Payload | None:
        self._fail()
        payload, _ = self.points.get(key, ({"live": False}, {}))
        return _public(payload) if payload["live"] else None

    async def count(self, conditions: Sequence[Condition] = ()) -> int:
        self._fail()
        return sum(_satisfies_all(key, payload, conditions) for key, (payload, _) in self.points.items())

    async def vectors(self, key: ProductKey) -> Mapping[str, Vector] | None:
        self._fail()
        payload, vectors = self.points.get(key, ({"live": False}, {}))
        return vectors if payload["live"] else None

    async def fields(self, conditions: Sequence[Condition] = ()) -> Mapping[str, str]:
        self._fail()
        own = {"price": "number", "currency": "keyword", "available": "bool", "tenant": "keyword"}
        visible = [p["attributes"] for key, (p, _) in self.points.items() if _satisfies_all(key, p, conditions)]
        types: dict[str, set[str]] = {}
        for name, value in (pair for attributes in visible for pair in attributes.items()):
            for member in value if isinstance(value, list) else [value]:
                kind = "bool" if isinstance(member, bool) else "keyword" if isinstance(member, str) else "number"
                types.setdefault(f"attributes.{name}", set()).add(kind)
        return {**{field: seen.pop() if len(seen) == 1 else "any" for field, seen in types.items()}, **own}

    async def countable(self) -> Collection[str]:
        return {field for field in await self.fields() if field != "price"}

    async def facet(self, field: str, conditions: Sequence[Condition], *, limit: int) -> list[tuple[Scalar, int]]:
        self._fail()
        counts: Counter[Scalar] = Counter()
        for key, (payload, _) in self.points.items():
            if _satisfies_all(key, payload, conditions):
                counts.update(set(_members({**payload, **key._asdict()}, field)) - {None})
        return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:limit]

    async def newest(self, conditions: Sequence[Condition] = (), *, limit: int) -> Sequence[tuple[ProductKey, Payload]]:
        self._fail()
        live = [(key, _public(p)) for key, (p, _) in self.points.items() if _satisfies_all(key, p, conditions)]
        return sorted(live, key=lambda item: -item[1]["event_time"])[:limit]

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _invalid(self, write: ProductWrite) -> str | None:
        for name, vector in (write.vectors or {}).items():
            if vector.shape != (self.space.vectors.get(name),):
                return f"the vector {name!r} has shape {vector.shape}"
            if not np.isfinite(vector).all():
                return f"the vector {name!r} is not finite"
        return None

    def _apply(self, write: ProductWrite) -> bool:
        payload, vectors = self.points.get(write.key, (None, {}))
        revision = payload["revision"] if payload else None
        if revision == write.payload["revision"]:
            return True
        if revision != write.expected_revision:
            return False
        if write.vectors is None and payload is None:
            return False
        unchanged = payload if write.vectors is None and payload else {}
        self.points[write.key] = ({**unchanged, **write.payload}, vectors if write.vectors is None else write.vectors)
        return True


def _public(payload: Payload) -> Payload:
    return {name: value for name, value in payload.items() if name not in INTERNALS}


def _best_first(scores: Mapping[ProductKey, float]) -> list[tuple[ProductKey, float]]:
    return sorted(scores.items(), key=lambda item: -item[1])


def _words(text: str) -> set[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return set(re.findall(r"[^\W_]+", plain.lower()))


def _satisfies_all(key: ProductKey, payload: Payload, conditions: Sequence[Condition]) -> bool:
    return bool(payload["live"]) and all(_satisfies({**payload, **key._asdict()}, c) for c in conditions)


def _satisfies(payload: Payload, condition: Condition) -> bool:
    if isinstance(condition, Not):
        return not _satisfies(payload, condition.of)
    members = _members(payload, condition.field)
    if isinstance(condition, Exists):
        return any(member is not None for member in members)
    if isinstance(condition, AnyOf):
        return any(_equal(member, value) for member in members for value in condition.values)
    numbers = [m for m in members if isinstance(m, int | float) and not isinstance(m, bool)]
    gt, gte = condition.gt, condition.gte
    low = max(-math.inf if gt is None else math.nextafter(gt, math.inf), -math.inf if gte is None else gte)
    lt, lte = condition.lt, condition.lte
    high = min(math.inf if lt is None else math.nextafter(lt, -math.inf), math.inf if lte is None else lte)
    return any(low <= number <= high for number in numbers)


def _members(payload: Payload, field: str) -> list[Any]:
    value: Any = payload
    for name in field.split(".", 1):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, list) else [value]


def _equal(member: object, value: Scalar) -> bool:
    return member == value and isinstance(member, bool) == isinstance(value, bool)


@dataclass
class FakeEncoder:
    """ItemEncoder and QueryEncoder that hash titles and image references. Titles in `poison` give no vector.

    `encoded` lists every content that reached the device, in order; `encode` raises `failure` while it is set.
    `away` maps images that cannot be fetched to their states; `fetched` lists every content that was prepared.
    """

    space: Space = SPACE
    poison: frozenset[str] = frozenset()
    failure: Exception | None = None
    encoded: list[Content] = field(default_factory=list)
    away: dict[str, ImageState] = field(default_factory=dict)
    fetched: list[Content] = field(default_factory=list)

    async def prepare(self, items: Sequence[Content]) -> Sequence[PreparedItem]:
        self.fetched += items
        return [PreparedItem(self._photo(item), "", item) for item in items]

    def _photo(self, item: Content) -> ImageState:
        if not item.images:
            return ImageState.NONE
        return min((self.away.get(url, ImageState.OK) for url in item.images), key=lambda s: s is not ImageState.OK)

    async def encode(self, prepared: Sequence[PreparedItem]) -> Sequence[EncodedItem | None]:
        if self.failure is not None:
            raise self.failure
        return [self._encode(p) for p in prepared]

    def _encode(self, prepared: PreparedItem) -> EncodedItem | None:
        content = prepared.inputs
        assert isinstance(content, Content)
        self.encoded.append(content)
        if content.title in self.poison:
            return None
        vectors = {FUSED: unit(content.title, self.space.vectors[FUSED])}
        if prepared.image_state is ImageState.OK and IMAGE in self.space.vectors:
            vectors[IMAGE] = unit(content.images[0], self.space.vectors[IMAGE])
        return EncodedItem(vectors, prepared.image_state)

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        seed = text if text is not None else (image or b"").decode("latin-1")
        return unit(seed, self.space.vectors[FUSED])


@dataclass
class ListQuarantine:
    """A Quarantine that is a list. `put` raises `failure` while it is set."""

    rejects: list[Reject] = field(default_factory=list)
    failure: Exception | None = None

    async def put(self, rejects: Sequence[Reject]) -> None:
        if self.failure is not None:
            raise self.failure
        self.rejects.extend(rejects)
