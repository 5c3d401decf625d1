"""Photos are decoded and titles tokenized in other threads, several items in one job."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from encoders.batching.executor import Priority, PriorityThreadPool
from encoders.model import Inputs

MAX_RESULTS = 8
"""Waking the event loop costs a third of decoding a small photo; shared by this many items it costs little."""

SLICE_S = 0.005

Read = Callable[[str, bytes | None], Inputs]


@dataclass(frozen=True, slots=True, eq=False)
class _PendingRead:
    text: str
    data: bytes | None
    result: asyncio.Future[Inputs]


class DecodeBatcher:
    """Sends the items of one lane to the decoding threads.

    A job reads waiting items one after the other for a few milliseconds, then gives its thread back to the pool. So a
    lone item does not wait for others, and each large photo is a job of its own. Idle threads share the items of a
    lane. The number of waiting items is bounded by the lane's limit on concurrent fetches.
    """

    def __init__(
        self,
        read: Read,
        threads: PriorityThreadPool,
        priority: Priority,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`read` is called in the threads; `clock` gives seconds."""
        self._read = read
        self._threads = threads
        self._priority = priority
        self._clock = clock
        self._waiting: deque[_PendingRead] = deque()
        self._submitted = False  # a job is submitted and has not started
        self._lock = threading.Lock()

    async def __call__(self, text: str, data: bytes | None) -> Inputs:
        """A text and a photo as model inputs. Raises the errors of `read`, and Unavailable."""
        item = _PendingRead(text, data, asyncio.get_running_loop().create_future())
        with self._lock:
            self._waiting.append(item)
            self._submit()
        return await item.result

    def _submit(self) -> None:
        if not self._submitted:
            self._threads.submit(self._run, priority=self._priority)
            self._submitted = True

    def _run(self) -> None:
        with self._lock:
            self._submitted = False
            if len(self._waiting) > 1:
                self._submit()
        results: list[tuple[_PendingRead, Inputs | Exception]] = []
        deadline = self._clock() + SLICE_S
        while (item := self._next()) is not None:
            results.append((item, self._inputs_of(item)))
            if len(results) == MAX_RESULTS or self._clock() >= deadline:
                break
        if results:
            results[0][0].result.get_loop().call_soon_threadsafe(_deliver, results)
        with self._lock:
            if self._waiting:
                self._submit()

    def _next(self) -> _PendingRead | None:
        with self._lock:
            while self._waiting:
                item = self._waiting.popleft()
                if not item.result.cancelled():
                    return item
            return None

    def _inputs_of(self, item: _PendingRead) -> Inputs | Exception:
        try:
            return self._read(item.text, item.data)
        except Exception as err:  # raised again where the result is awaited
            return err


def _deliver(results: list[tuple[_PendingRead, Inputs | Exception]]) -> None:
    for item, inputs in results:
        if item.result.cancelled():
            continue
        if isinstance(inputs, Exception):
            item.result.set_exception(inputs)
        else:
            item.result.set_result(inputs)
