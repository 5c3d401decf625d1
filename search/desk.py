"""How much is taken on at once, and how long it may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from catalog.errors import Unavailable
from search.policy import SearchPolicy

T = TypeVar("T")


class Desk:
    """Takes a bounded number of queries at once, and gives up on those that take too long; both are Unavailable."""

    def __init__(self, policy: SearchPolicy) -> None:
        self._policy = policy
        self._in_flight = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        if self._in_flight >= self._policy.max_in_flight:
            raise Unavailable(f"{self._in_flight} queries are being answered already: try again in a moment")
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    async def answered(self, finding: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._policy.answer_within):
                return await finding
        except TimeoutError:
            raise Unavailable(f"no answer within {self._policy.answer_within:g} s: try again in a moment") from None
