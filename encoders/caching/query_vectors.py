"""The vectors of texts that were looked for lately, so that a query many people have goes through the model once."""

from __future__ import annotations

import asyncio
import unicodedata
from dataclasses import dataclass

from catalog.domain.space import Space
from catalog.ports import QueryEncoder, Vector
from encoders.caching.lru_cache import LruCache
from encoders.model import Model
from encoders.towers.preprocessing import tidy

# What an entry takes beside its vector and its text: the key, the array's head, its place in the order.
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
    """A QueryEncoder before another: texts it has met are answered from memory, and equal ones at once are one query.

    Texts are equal that are the same in Unicode's composed form (NFC) with each run of white space as one space, and,
    for a model that does not read case, in lower case. The model is given that form, so the vector is that of the form
    whoever came first. Queries with a photo pass through. `hits` counts what did not go to the encoder.
    """

    def __init__(self, encoder: QueryEncoder, *, policy: QueryCachePolicy, uncased: bool = False) -> None:
        """`policy` bounds what is kept, in bytes too. The vectors it gives cannot be written to: many hold them."""
        self._encoder = encoder
        self._uncased = uncased
        self._recent: LruCache[tuple[str, str], Vector] = LruCache(entries=policy.entries, max_bytes=policy.max_bytes)
        self._flights: dict[tuple[str, str], _SharedForward] = {}
        self.hits = 0

    @property
    def space(self) -> Space:
        return self._encoder.space

    @property
    def size(self) -> int:
        """What is kept, in bytes."""
        return self._recent.bytes

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        """As the encoder behind it, with its errors; an error is not remembered."""
        if image is not None or not text or not (said := normalised(text, uncased=self._uncased)):
            return await self._encoder.encode_query(text=text, image=image)
        key = (self.space.id, said)
        found = self._recent.get(key)
        if found is not None:
            self.hits += 1
            return found
        return await self._together(key)

    async def _together(self, key: tuple[str, str]) -> Vector:
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _SharedForward(asyncio.create_task(self._ask(key)))
        else:
            self.hits += 1
        flight.waiting += 1
        try:
            # Whoever leaves must not take the query away from the others who wait for it.
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                flight.task.cancel()
                if self._flights.get(key) is flight:
                    del self._flights[key]

    async def _ask(self, key: tuple[str, str]) -> Vector:
        vector = await self._encoder.encode_query(text=key[1], image=None)
        vector.flags.writeable = False
        self._recent.put(key, vector, vector.nbytes + 4 * len(key[1]) + OVERHEAD)
        return vector


def normalised(text: str, *, uncased: bool) -> str:
    """The form in which equal texts are the same."""
    said = tidy(unicodedata.normalize("NFC", text))
    return said.lower() if uncased else said


def reads_no_case(model: Model) -> bool:
    """Whether upper and lower case are the same tokens to the model."""
    return model.prepare(_CASED, None).tokens == model.prepare(_UNCASED, None).tokens
