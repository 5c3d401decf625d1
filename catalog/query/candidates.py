"""Retrieves candidates: thousands of ids for one query within a deadline, and fewer of them rather than none."""

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
    """The limits of a request, and the use of its time.

    The index has `full_share` of the time that encoding leaves to return all candidates. If it is late, the rest of the
    time is for one `fallback_divisor`-th of them.
    """

    max_limit: int = 10_000
    max_fields: int = 16
    full_share: float = 0.7
    fallback_divisor: int = 10


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """Candidates, best first, with their vector space, their mode and the time spent in milliseconds.

    `degraded` has one sentence for each thing that was left out because of time or an outage.
    """

    columns: CandidateColumns
    space: str
    mode: Mode
    degraded: tuple[str, ...]
    encode_ms: float
    search_ms: float
    total_ms: float


class CandidateService:
    """Encodes a query and returns up to `limit` live products. Raises InvalidInput, ImageProblem and Unavailable."""

    def __init__(
        self,
        *,
        candidate_reader: CandidateReader,
        search_service: SearchService,
        policy: CandidatePolicy = CandidatePolicy(),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._candidate_reader = candidate_reader
        self._search_service = search_service
        self._policy = policy
        self._clock = clock

    async def __call__(self, query: Query, *, fields: tuple[str, ...] = (), within_s: float) -> CandidateResult:
        """The candidates, within `within_s` seconds, with the payload fields `fields`."""
        if len(fields) > self._policy.max_fields:
            raise InvalidInput(f"fields: {len(fields)} are more than the maximum of {self._policy.max_fields}")
        start = self._clock()
        limited = replace(query, within_s=within_s)
        resolved = await self._search_service.resolve(limited, max_limit=self._policy.max_limit)
        encoded = self._clock()
        columns, degraded = await self._columns(resolved.index_query, fields, start + within_s - encoded)
        done = self._clock()
        return CandidateResult(
            columns=columns,
            space=self._search_service.space.id,
            mode=resolved.mode,
            degraded=resolved.degraded + degraded,
            encode_ms=resolved.encode_ms,
            search_ms=(done - encoded) * 1000,
            total_ms=(done - start) * 1000,
        )

    async def _columns(
        self, query: IndexQuery, fields: tuple[str, ...], remaining_s: float
    ) -> tuple[CandidateColumns, tuple[str, ...]]:
        """The candidates, and the reason if there are fewer than requested."""
        fallback_limit = max(1, query.limit // self._policy.fallback_divisor)
        share = self._policy.full_share if fallback_limit < query.limit else 1.0
        try:
            return await self._read(query, fields, remaining_s * share), ()
        except TimeoutError:
            if share == 1.0:
                raise _timeout() from None
        fallback = replace(query, limit=fallback_limit, pool=fallback_limit)
        try:
            columns = await self._read(fallback, fields, remaining_s * (1 - share))
        except TimeoutError:
            raise _timeout() from None
        return columns, (f"index: {query.limit} did not come in time; {fallback_limit} were asked for",)

    async def _read(self, query: IndexQuery, fields: tuple[str, ...], timeout_s: float) -> CandidateColumns:
        async with asyncio.timeout(timeout_s):
            return await self._candidate_reader.candidates(replace(query, within_s=None), fields=fields)


def _timeout() -> Unavailable:
    return Unavailable("the index did not answer in time: try again in a moment, or give more time")
