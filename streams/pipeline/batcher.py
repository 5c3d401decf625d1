"""Records gathered into batches: shipped at once when idle, gathered while busy."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from streams.config import BatchPolicy

T = TypeVar("T")

# What is full before anything is known of how long records take, and the least that later counts as full.
FIRST, LEAST = 64, 16


class Batcher(Generic[T]):
    """Holds at most one batch of items; who puts more waits, and that is the back-pressure."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self.full = min(FIRST, policy.max_records)
        self._items: list[T] = []
        self._idle = True
        self._closed = False
        self._room = asyncio.Event()
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def put(self, item: T) -> None:
        """Waits for room. After `close` it waits for ever: nothing more is taken."""
        while self._closed or len(self._items) >= self.full:
            self._room.clear()
            await self._room.wait()
        self._items.append(item)
        if self._idle or len(self._items) >= self.full:
            self._due.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._policy.within_s, self._due.set)

    async def batch(self) -> list[T]:
        """The next batch, of 1 to `full` items in the order they were put; none once closed."""
        await self._due.wait()
        if self._closed:
            return []
        self._due.clear()
        self._stop_timer()
        batch, self._items = self._items, []
        self._room.set()
        return batch

    def took(self, count: int, seconds: float) -> None:
        """Tells how long a batch took; one that was about full says what is full from now on."""
        if 2 * count >= self.full:
            goal = count * self._policy.goal_s / max(seconds, 1e-9)
            # Half way there: what is in flight was gathered by an older number, and will say the same once more.
            near = (self.full + min(goal, 3 * self.full)) / 2
            self.full = min(self._policy.max_records, max(LEAST, round(near)))

    def idle(self, idle: bool) -> None:
        """Says whether nothing is in flight, so that what is here need not wait for company."""
        self._idle = idle
        if idle and self._items:
            self._due.set()

    def close(self) -> None:
        """Takes nothing more and forgets what was not yet in a batch."""
        self._closed = True
        self._items.clear()
        self._due.set()
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
