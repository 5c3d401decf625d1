"""A thread pool with priorities: queries run before the live lane, and the live lane before back-fill."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from enum import IntEnum
from typing import TypeVar

from catalog.errors import Unavailable

R = TypeVar("R")


class Priority(IntEnum):
    """The lowest number runs first."""

    QUERY = 0
    LIVE = 1
    BACKFILL = 2


class FairShare:
    """Chooses the next priority. While live and back-fill jobs both wait, back-fill gets `share` of the time."""

    def __init__(self, share: float) -> None:
        """`share` lies between 0 and 1, both excluded."""
        self._share = share
        self._backfill_debt_s = 0.0  # seconds that back-fill got less than its share

    def next(self, waiting: Sequence[bool]) -> Priority:
        """The priority to run next; `waiting` says for each priority whether it has a job."""
        first = next(priority for priority in Priority if waiting[priority])
        backfill_is_due = waiting[Priority.BACKFILL] and self._backfill_debt_s > 0
        return Priority.BACKFILL if first is Priority.LIVE and backfill_is_due else first

    def took(self, priority: Priority, seconds: float, waiting: Sequence[bool]) -> None:
        """Record the duration of a job. `waiting` is the argument of the `next` that chose it."""
        if waiting[Priority.LIVE] and waiting[Priority.BACKFILL] and priority is not Priority.QUERY:
            spent = seconds if priority is Priority.BACKFILL else 0.0
            self._backfill_debt_s += seconds * self._share - spent


class PriorityThreadPool:
    """Runs functions in `threads` threads. At most `waiting` jobs of each priority wait."""

    def __init__(
        self,
        name: str,
        *,
        threads: int = 1,
        waiting: int,
        share: float = 0.15,
        begin: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Each thread calls `begin` once. `share` is back-fill's part of the time while live jobs wait too."""
        self._max_waiting = waiting
        self._clock = clock
        self._lock = threading.Lock()
        self._fair_share = FairShare(share)
        self._queues: dict[Priority, deque[Callable[[], None]]] = {priority: deque() for priority in Priority}
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=begin)

    async def run(self, call: Callable[[], R], *, priority: Priority) -> R:
        """The result of `call`. Raises its errors, and Unavailable if too many jobs of that priority wait."""
        return await asyncio.wrap_future(self.submit(call, priority=priority))

    def submit(self, call: Callable[[], R], *, priority: Priority) -> Future[R]:
        """`run` without waiting, from any thread."""
        result: Future[R] = Future()

        def job() -> None:
            if result.set_running_or_notify_cancel():
                try:
                    result.set_result(call())
                except BaseException as err:  # raised again where the result is awaited
                    result.set_exception(err)

        with self._lock:
            if len(self._queues[priority]) >= self._max_waiting:
                raise Unavailable("Too many calls wait for the encoder: try again in a moment.")
            self._queues[priority].append(job)
        # One submit for each job keeps the executor's own count right; `_next` decides which job runs.
        self._executor.submit(self._next)
        return result

    def close(self) -> None:
        """Wait for the running calls and drop the waiting ones."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _next(self) -> None:
        with self._lock:
            waiting = [bool(self._queues[priority]) for priority in Priority]
            priority = self._fair_share.next(waiting)
            job = self._queues[priority].popleft()
        started = self._clock()
        job()
        with self._lock:
            self._fair_share.took(priority, self._clock() - started, waiting)
