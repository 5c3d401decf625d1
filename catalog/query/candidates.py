"""The candidates channel: thousands of ids for one query, within a time, and rather fewer than none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from catalog.domain.index_query import IndexQuery
from catalog.errors import InvalidInput, Unavailable
from catalog.ports import CandidateColumns, CandidateReader
from catalog.query.query import Mode, Query
from catalog.query.search import SearchService


@dataclass(frozen=True, slots=True)
class CandidatePolicy:
    """What may be asked for, and what is done with the time there is.

    The index gets `full_share` of what encoding leaves of the time for all candidates; the rest is for a `fewer`-th of
    them.
    """

    max_limit: int = 10_000
    max_fields: int = 16
    full_share: float = 0.7
    fewer: int = 10


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """Candidates, best first, the space they were compared in, how, and where the time went (milliseconds).

    `degraded` says what was left out because there was no time or no answer, a sentence each; empty: nothing.
    """

    columns: CandidateColumns
    space: str
    mode: Mode
    degraded: tuple[str, ...]
    encode_ms: float
    search_ms: float
    total_ms: float


class CandidateService:
    """Encode the query, bring as many live products as are asked for.

    Raises InvalidInput, ImageProblem and Unavailable.
    """

    def __init__(
        self,
        *,
        candidates: CandidateReader,
        find: SearchService,
        policy: CandidatePolicy = CandidatePolicy(),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._candidates = candidates
        self._find = find
        self._policy = policy
        self._clock = clock

    async def __call__(self, query: Query, *, fields: tuple[str, ...] = (), within_s: float) -> CandidateResult:
        """The answer within so many seconds. `fields` are payload fields to bring along."""
        if len(fields) > self._policy.max_fields:
            most = self._policy.max_fields
            raise InvalidInput(f"fields: {len(fields)} are more than the {most} that candidates bring along")
        start = self._clock()
        asked = await self._find.ask(replace(query, within_s=within_s), most=self._policy.max_limit)
        encoded = self._clock()
        columns, fewer = await self._columns(asked.ask, fields, start + within_s - encoded)
        done = self._clock()
        return CandidateResult(
            columns=columns,
            space=self._find.space.id,
            mode=asked.mode,
            degraded=(*asked.degraded, *fewer),
            encode_ms=asked.encode_ms,
            search_ms=(done - encoded) * 1000,
            total_ms=(done - start) * 1000,
        )

    async def _columns(
        self, ask: IndexQuery, fields: tuple[str, ...], left_s: float
    ) -> tuple[CandidateColumns, tuple[str, ...]]:
        """The candidates, and why there are fewer than there could be."""
        fewer = max(1, ask.limit // self._policy.fewer)
        share = self._policy.full_share if fewer < ask.limit else 1.0
        try:
            return await self._within(ask, fields, left_s * share), ()
        except TimeoutError:
            if share == 1.0:
                raise _late() from None
        try:
            columns = await self._within(replace(ask, limit=fewer, pool=fewer), fields, left_s * (1 - share))
        except TimeoutError:
            raise _late() from None
        return columns, (f"index: {ask.limit} did not come in time; {fewer} were asked for",)

    async def _within(self, ask: IndexQuery, fields: tuple[str, ...], seconds: float) -> CandidateColumns:
        async with asyncio.timeout(seconds):
            return await self._candidates.candidates(replace(ask, within_s=None), fields=fields)


def _late() -> Unavailable:
    return Unavailable("the index did not answer in time: try again in a moment, or give more time")
