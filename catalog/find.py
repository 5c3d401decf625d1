"""The query path: words or a picture in, live products out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from catalog.ask import Ask
from catalog.errors import Misuse
from catalog.filters import Condition
from catalog.ports import Hit, QueryEncoder, Shelf


@dataclass(frozen=True, slots=True)
class FindPolicy:
    """What a query may ask for. `max_text` is in characters: a search box holds no more, and encoding is cut anyway."""

    max_limit: int = 1000
    max_text: int = 1000


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: words, the bytes of a picture, or both; and what every hit must satisfy."""

    text: str | None = None
    image: bytes | None = None
    limit: int = 20
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """Hits, best first, the space they were compared in, and where the time went (milliseconds)."""

    hits: list[Hit]
    space: str
    encode_ms: float
    search_ms: float


class Find:
    """Encode the query, search the live collection. Raises Misuse, ImageProblem and Unavailable."""

    def __init__(
        self,
        *,
        shelf: Shelf,
        encoder: QueryEncoder,
        policy: FindPolicy = FindPolicy(),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._shelf = shelf
        self._encoder = encoder
        self._policy = policy
        self._clock = clock

    async def __call__(self, query: Query) -> Found:
        text = self._checked_text(query)
        if not 1 <= query.limit <= self._policy.max_limit:
            raise Misuse(f"limit: {query.limit} is not between 1 and {self._policy.max_limit}")
        start = self._clock()
        vector = await self._encoder.encode_query(text=text, image=query.image)
        encoded = self._clock()
        hits = await self._shelf.search(Ask(vector=vector, limit=query.limit, conditions=query.conditions))
        done = self._clock()
        return Found(hits, self._encoder.space.id, (encoded - start) * 1000, (done - encoded) * 1000)

    def _checked_text(self, query: Query) -> str | None:
        text = (query.text or "").strip()
        if not text and query.image is None:
            raise Misuse("an empty query finds nothing: give some text, an image, or both")
        if len(text) > self._policy.max_text:
            raise Misuse(f"text: {len(text)} characters are more than the {self._policy.max_text} a query may have")
        return text or None
