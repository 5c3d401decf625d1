"""Micro-batching: a batch ships at once while nothing is in flight, and grows while the pipeline is busy."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from streams.config import BatchPolicy

T = TypeVar("T")

# The batch size before any duration is known, and the smallest that later durations lead to.
INITIAL_SIZE, MIN_SIZE = 64, 16


class Batcher(Generic[T]):
    """Holds at most one batch of items. `put` waits while that is full, which is the back-pressure."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self.size_limit = min(INITIAL_SIZE, policy.max_records)
        self._items: list[T] = []
        self._idle = True
        self._closed = False
        self._room = asyncio.Event()
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def put(self, item: T) -> None:
        """Waits for room. After `close` it waits for ever."""
        while self._closed or len(self._items) >= self.size_limit:
            self._room.clear()
            await self._room.wait()
        self._items.append(item)
        if self._idle or len(self._items) >= self.size_limit:
            self._due.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._policy.within_s, self._due.set)

    async def batch(self) -> list[T]:
        """The next batch, of 1 to `size_limit` items in the order of `put`; empty after `close`."""
        await self._due.wait()
        if self._closed:
            return []
        self._due.clear()
        self._stop_timer()
        batch, self._items = self._items, []
        self._room.set()
        return batch

    def observe_duration(self, count: int, seconds: float) -> None:
        """Records the duration of a batch. If it was at least half full, `size_limit` moves towards the goal."""
        if 2 * count >= self.size_limit:
            goal = count * self._policy.goal_s / max(seconds, 1e-9)
            # Half way there: batches in flight have sizes of an older limit and will move it once more.
            nearer = (self.size_limit + min(goal, 3 * self.size_limit)) / 2
            self.size_limit = min(self._policy.max_records, max(MIN_SIZE, round(nearer)))

    def set_idle(self, idle: bool) -> None:
        """Whether nothing is in flight, so that items need not wait for a fuller batch."""
        self._idle = idle
        if idle and self._items:
            self._due.set()

    def close(self) -> None:
        """Takes nothing more and drops the items that are in no batch yet."""
        self._closed = True
        self._items.clear()
        self._due.set()
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
