"""Limits on concurrent requests and the memory of their bodies, and the deadline of a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from fastapi import Request

from search.errors import ApiError
from search.policy import SearchPolicy


class ConcurrencyLimiter:
    """A bounded number of slots, a bounded queue for them, and a bound on the bytes of all request bodies."""

    def __init__(self, policy: SearchPolicy) -> None:
        self._policy = policy
        self._slots = asyncio.Semaphore(policy.max_in_flight)
        self._waiting = 0
        self._reserved = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Raises ApiError (429) if the queue is full or no slot became free within the queue timeout."""
        if self._slots.locked() and self._waiting >= self._policy.max_waiting:
            raise self._busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._policy.queue_timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            raise self._busy() from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    @contextmanager
    def reserve_body(self) -> Iterator[BodyReservation]:
        """Memory for the body of one request, released on exit."""
        reservation = BodyReservation(self)
        try:
            yield reservation
        finally:
            self._reserved -= reservation.size

    def reserve(self, size: int) -> None:
        """Reserve bytes. Raises ApiError (429) if the bodies would exceed `max_body_memory`."""
        if self._reserved + size > self._policy.max_body_memory:
            raise self._busy()
        self._reserved += size

    def _busy(self) -> ApiError:
        message = "the service is busy: try again in a moment"
        return ApiError(429, "busy", message, headers={"retry-after": str(self._policy.retry_after)})


class BodyReservation:
    """The bytes that one request has reserved for its body."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self._limiter = limiter
        self.size = 0

    def add(self, size: int) -> None:
        self._limiter.reserve(size)
        self.size += size


class Deadline:
    """The time by which a request has to be answered. Its work is cancelled when the time is over."""

    def __init__(self, timeout: asyncio.Timeout, timeout_s: float) -> None:
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self.timeout_s = timeout_s
        self._started = self._loop.time()
        self._timeout.reschedule(self._started + timeout_s)

    @property
    def time_left(self) -> float:
        """The seconds until the deadline, at least 0."""
        return max(0.0, self._started + self.timeout_s - self._loop.time())

    def shorten(self, ms: float | None) -> None:
        """Move the deadline to `ms` milliseconds after the request arrived, if that is earlier; None has no effect."""
        if ms is not None and ms / 1000 < self.timeout_s:
            self.timeout_s = ms / 1000
            self._move(self._started + self.timeout_s)

    def move(self, seconds: float) -> None:
        """Move the deadline to `seconds` from now, for the next phase of the request."""
        self._move(self._loop.time() + seconds)

    def end(self) -> None:
        """Move the deadline to now, because the client has disconnected."""
        self._move(self._loop.time())

    def close(self) -> None:
        """Fix the deadline, because the answer is complete."""
        self._closed = True

    def _move(self, when: float) -> None:
        if not self._closed:
            self._timeout.reschedule(when)


def deadline_of(request: Request) -> Deadline:
    """The deadline of a request, as AdmissionMiddleware set it."""
    deadline: Deadline = request.state.deadline
    return deadline
