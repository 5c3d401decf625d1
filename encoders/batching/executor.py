"""A few threads that work by turns: a question before the live stream, the live stream before a back-fill."""

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
    """Who goes first when both wait."""

    QUERY = 0
    LIVE = 1
    BACKFILL = 2


class FairShare:
    """Whose turn it is. Of the time that live and back-fill work take while both wait, back-fill gets `share`."""

    def __init__(self, share: float) -> None:
        """`share` lies between 0 and 1, both excluded."""
        self._share = share
        self._owed = 0.0  # seconds that back-fill has had less than its share

    def next(self, waiting: Sequence[bool]) -> Priority:
        """Of those that wait, by turn."""
        turn = next(turn for turn in Priority if waiting[turn])
        return Priority.BACKFILL if turn is Priority.LIVE and waiting[Priority.BACKFILL] and self._owed > 0 else turn

    def took(self, turn: Priority, seconds: float, waiting: Sequence[bool]) -> None:
        """What was begun when `waiting` was asked about has taken so long."""
        if waiting[Priority.LIVE] and waiting[Priority.BACKFILL] and turn is not Priority.QUERY:
            self._owed += seconds * self._share - (seconds if turn is Priority.BACKFILL else 0.0)


class PriorityThreadPool:
    """Runs functions in `threads` threads; of each turn at most `waiting` wait."""

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
        """`begin` is run once by each thread; `share` is what back-fill gets of the time while live work waits too."""
        self._waiting = waiting
        self._clock = clock
        self._lock = threading.Lock()
        self._turns = FairShare(share)
        self._queues: dict[Priority, deque[Callable[[], None]]] = {turn: deque() for turn in Priority}
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=begin)

    async def run(self, call: Callable[[], R], *, turn: Priority) -> R:
        """What `call` returns. Raises Unavailable when too many of its turn wait, and what `call` raises."""
        return await asyncio.wrap_future(self.submit(call, turn=turn))

    def submit(self, call: Callable[[], R], *, turn: Priority) -> Future[R]:
        """`run` for whoever does not wait, from any thread."""
        done: Future[R] = Future()

        def job() -> None:
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(call())
                except BaseException as err:  # it is raised again where the result is awaited
                    done.set_exception(err)

        with self._lock:
            if len(self._queues[turn]) >= self._waiting:
                raise Unavailable("The encoder has more waiting than it can serve: try again in a moment.")
            self._queues[turn].append(job)
        # One submit per job keeps the executor's own count right; which job it runs is decided when it gets to it.
        self._executor.submit(self._next)
        return done

    def close(self) -> None:
        """Let the running calls finish, forget the others."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _next(self) -> None:
        with self._lock:
            waiting = [bool(self._queues[turn]) for turn in Priority]
            turn = self._turns.next(waiting)
            job = self._queues[turn].popleft()
        started = self._clock()
        job()
        with self._lock:
            self._turns.took(turn, self._clock() - started, waiting)
