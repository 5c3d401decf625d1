"""Caches the vectors of query texts, so that a frequent query passes the model once."""

from __future__ import annotations

import asyncio
import unicodedata
from dataclasses import dataclass

from catalog.domain.space import Space
from catalog.ports import QueryEncoder, Vector
from encoders.caching.lru_cache import LruCache
from encoders.model import Model
from encoders.towers.preprocessing import tidy

# Bytes of an entry apart from its vector and its text: the key, the array's header, its place in the order.
OVERHEAD = 400
_CASED, _UNCASED = "Red SHOES Größe ÄÖÜ", "red shoes größe äöü"


@dataclass(frozen=True, slots=True)
class QueryCachePolicy:
    """At most `entries` vectors are kept, and at most `max_bytes` of vectors and texts."""

    entries: int
    max_bytes: int


@dataclass
class _SharedForward:
    task: asyncio.Task[Vector]
    waiting: int = 0


class QueryVectorCache:
    """A QueryEncoder that caches the vectors of another. Equal texts at the same moment are one query.

    Texts are equal if their normalised forms are: Unicode's composed form (NFC), each run of white space as one space.
    For a model that ignores case, it is also in lower case. The encoder receives that form. Queries with a photo are
    not cached. `hits` counts the queries that did not reach the encoder.
    """

    def __init__(self, encoder: QueryEncoder, *, policy: QueryCachePolicy, uncased: bool = False) -> None:
        """The vectors that it returns are read-only: callers share them."""
        self._encoder = encoder
        self._uncased = uncased
        self._vectors: LruCache[tuple[str, str], Vector] = LruCache(entries=policy.entries, max_bytes=policy.max_bytes)
        self._running: dict[tuple[str, str], _SharedForward] = {}
        self.hits = 0

    @property
    def space(self) -> Space:
        return self._encoder.space

    @property
    def size(self) -> int:
        """The size of the entries in bytes."""
        return self._vectors.bytes

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        """`encode_query` of the encoder, with its errors, which are not cached."""
        if image is not None or not text or not (normal := normalised(text, uncased=self._uncased)):
            return await self._encoder.encode_query(text=text, image=image)
        key = (self.space.id, normal)
        vector = self._vectors.get(key)
        if vector is not None:
            self.hits += 1
            return vector
        return await self._shared(key)

    async def _shared(self, key: tuple[str, str]) -> Vector:
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = _SharedForward(asyncio.create_task(self._encode(key)))
        else:
            self.hits += 1
        running.waiting += 1
        try:
            # A caller that is cancelled must not cancel the query of the others.
            return await asyncio.shield(running.task)
        finally:
            running.waiting -= 1
            if not running.waiting:
                running.task.cancel()
                if self._running.get(key) is running:
                    del self._running[key]

    async def _encode(self, key: tuple[str, str]) -> Vector:
        vector = await self._encoder.encode_query(text=key[1], image=None)
        vector.flags.writeable = False
        self._vectors.put(key, vector, vector.nbytes + 4 * len(key[1]) + OVERHEAD)
        return vector


def normalised(text: str, *, uncased: bool) -> str:
    """The form in which equal texts are the same string."""
    normal = tidy(unicodedata.normalize("NFC", text))
    return normal.lower() if uncased else normal


def ignores_case(model: Model) -> bool:
    """Whether upper and lower case give the same tokens."""
    return model.prepare(_CASED, None).tokens == model.prepare(_UNCASED, None).tokens
