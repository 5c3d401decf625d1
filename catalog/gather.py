"""The candidates channel: thousands of ids for one query, within a time, and rather fewer than none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from catalog.ask import Ask
from catalog.errors import Misuse, Unavailable
from catalog.find import Query
from catalog.ports import Candidates, Columns, QueryEncoder


@dataclass(frozen=True, slots=True)
class GatherPolicy:
    """What may be asked for, and what is done with the time there is.

    Where there are words to fall back on, encoding gets `encode_share` of the time. The index gets `full_share` of
    what is then left for all candidates; the rest is for a `fewer`-th of them.
    """

    max_limit: int = 10_000
    max_fields: int = 16
    max_text: int = 1000
    encode_share: float = 0.5
    full_share: float = 0.7
    fewer: int = 10


@dataclass(frozen=True, slots=True)
class Gathered:
    """Candidates, best first, the space they were compared in, and where the time went (milliseconds).

    `degraded` says what was left out because there was no time or no answer, a sentence each; empty: nothing.
    """

    columns: Columns
    space: str
    degraded: tuple[str, ...]
    encode_ms: float
    search_ms: float


class Gather:
    """Encode the query, bring as many live products as are asked for. Raises Misuse, ImageProblem and Unavailable."""

    def __init__(
        self,
        *,
        candidates: Candidates,
        encoder: QueryEncoder,
        policy: GatherPolicy = GatherPolicy(),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._candidates = candidates
        self._encoder = encoder
        self._policy = policy
        self._clock = clock

    async def __call__(self, query: Query, *, fields: tuple[str, ...] = (), within_s: float) -> Gathered:
        """The answer within so many seconds. `fields` are payload fields to bring along."""
        self._check(query, fields)
        start = self._clock()
        degraded: list[str] = []
        ask = await self._ask(query, within_s, degraded)
        encoded = self._clock()
        columns = await self._columns(ask, fields, start + within_s - encoded, degraded)
        done = self._clock()
        took = (encoded - start) * 1000, (done - encoded) * 1000
        return Gathered(columns, self._encoder.space.id, tuple(degraded), *took)

    def _check(self, query: Query, fields: tuple[str, ...]) -> None:
        policy = self._policy
        if not (query.text or "").strip() and query.image is None:
            raise Misuse("an empty query finds nothing: give some text, an image, or both")
        if len(query.text or "") > policy.max_text:
            raise Misuse(
                f"text: {len(query.text or '')} characters are more than the {policy.max_text} a query may have"
            )
        if not 1 <= query.limit <= policy.max_limit:
            raise Misuse(f"limit: {query.limit} is not between 1 and {policy.max_limit}")
        if len(fields) > policy.max_fields:
            raise Misuse(f"fields: {len(fields)} are more than the {policy.max_fields} that candidates bring along")

    async def _ask(self, query: Query, within_s: float, degraded: list[str]) -> Ask:
        """The query as vectors, or as words alone where the encoder does not answer in time."""
        words = (query.text or "").strip() or None
        ask = Ask(limit=query.limit, conditions=query.conditions)
        try:
            async with asyncio.timeout(within_s * (self._policy.encode_share if words else 1)):
                return replace(ask, vector=await self._encoder.encode_query(text=words, image=query.image))
        except (TimeoutError, Unavailable) as error:
            said = str(error) or "no vector in time"
            if words is None:
                raise Unavailable(f"the encoder does not answer: {said}") from error
            degraded.append(f"encoder: {said}; found by words alone")
            return replace(ask, words=words)

    async def _columns(self, ask: Ask, fields: tuple[str, ...], left_s: float, degraded: list[str]) -> Columns:
        fewer = max(1, ask.limit // self._policy.fewer)
        if left_s <= 0:
            raise Unavailable("no time was left to search: allow more")
        first = left_s * (self._policy.full_share if fewer < ask.limit else 1)
        try:
            return await self._within(ask, fields, first)
        except TimeoutError as error:
            if fewer == ask.limit:
                raise Unavailable("the index did not answer in time") from error
        degraded.append(f"index: {ask.limit} were not there in time; {fewer} were asked for")
        try:
            return await self._within(replace(ask, limit=fewer), fields, left_s - first)
        except TimeoutError as error:
            raise Unavailable("the index did not answer in time") from error

    async def _within(self, ask: Ask, fields: tuple[str, ...], seconds: float) -> Columns:
        async with asyncio.timeout(seconds):
            return await self._candidates.candidates(ask, fields=fields)
