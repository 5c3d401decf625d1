"""How much is taken on at once, and until when it has to be answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from fastapi import Request

from search.errors import ApiError
from search.policy import SearchPolicy


class ConcurrencyLimiter:
    """A bounded number of turns, a bounded queue for them, and a bound on the bytes that all of them hold."""

    def __init__(self, policy: SearchPolicy) -> None:
        self._policy = policy
        self._turns = asyncio.Semaphore(policy.max_in_flight)
        self._waiting = 0
        self._held = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Raises ApiError (429) when too many wait already, and when it was not this one's turn in time."""
        if self._turns.locked() and self._waiting >= self._policy.max_waiting:
            raise self._busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._policy.wait_within):
                await self._turns.acquire()
        except TimeoutError:
            raise self._busy() from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    @contextmanager
    def holding(self) -> Iterator[HeldSlot]:
        """Room for the body of one request, given back at the end."""
        holding = HeldSlot(self)
        try:
            yield holding
        finally:
            self._held -= holding.size

    def hold(self, size: int) -> None:
        """Raises ApiError (429) when that is more than may be held."""
        if self._held + size > self._policy.max_held:
            raise self._busy()
        self._held += size

    def _busy(self) -> ApiError:
        message = "more is being asked than can be answered: try again in a moment"
        return ApiError(429, "busy", message, headers={"retry-after": str(self._policy.retry_after)})


class HeldSlot:
    """What one request holds, in bytes."""

    def __init__(self, desk: ConcurrencyLimiter) -> None:
        self._desk = desk
        self.size = 0

    def add(self, size: int) -> None:
        self._desk.hold(size)
        self.size += size


class Deadline:
    """When a request has to be answered. Whoever still works on it then is cancelled."""

    def __init__(self, timeout: asyncio.Timeout, seconds: float) -> None:
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self.seconds = seconds
        self._began = self._loop.time()
        self._timeout.reschedule(self._began + seconds)

    @property
    def left(self) -> float:
        """Seconds, never below 0."""
        return max(0.0, self._began + self.seconds - self._loop.time())

    def shorten(self, ms: float | None) -> None:
        """To so many milliseconds after the request was here; None and longer ones change nothing."""
        if ms is not None and ms / 1000 < self.seconds:
            self.seconds = ms / 1000
            self._move(self._began + self.seconds)

    def move(self, seconds: float) -> None:
        """To so many seconds from now, for another phase of the request."""
        self._move(self._loop.time() + seconds)

    def end(self) -> None:
        """To now: nobody waits for the answer any more."""
        self._move(self._loop.time())

    def close(self) -> None:
        """The answer is given: nothing moves the deadline from here on."""
        self._closed = True

    def _move(self, when: float) -> None:
        if not self._closed:
            self._timeout.reschedule(when)


def deadline_of(request: Request) -> Deadline:
    """The deadline of a request that the application's door has let in."""
    deadline: Deadline = request.state.deadline
    return deadline
