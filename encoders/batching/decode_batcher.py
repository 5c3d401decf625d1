"""Photos decoded and titles tokenized, several with one change of threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from encoders.batching.executor import Priority, PriorityThreadPool
from encoders.model import Inputs

TOGETHER = 8
"""Waking the event loop costs a third of what reading a small photo does; of so many it is a small part."""

SLICE_S = 0.005

Read = Callable[[str, bytes | None], Inputs]


@dataclass(frozen=True, slots=True, eq=False)
class _PendingItem:
    text: str
    data: bytes | None
    answer: asyncio.Future[Inputs]


class DecodeBatcher:
    """One lane's way to the threads that decode.

    A job takes one after the other of what waits, for a few milliseconds: then it is asked again whose turn it is. So a
    lone product waits for nothing, large photos are jobs of their own, and no thread is idle while another has several.
    What waits here is bounded by the photos that the lane fetches at once.
    """

    def __init__(
        self, read: Read, threads: PriorityThreadPool, turn: Priority, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """`read` is called in the threads; `clock` gives seconds."""
        self._read = read
        self._threads = threads
        self._turn = turn
        self._clock = clock
        self._waiting: deque[_PendingItem] = deque()
        self._called = False  # a job is asked for and has not begun
        self._lock = threading.Lock()

    async def __call__(self, text: str, data: bytes | None) -> Inputs:
        """A text and a photo as the model reads them. Raises what `read` raises, and Unavailable."""
        asked = _PendingItem(text, data, asyncio.get_running_loop().create_future())
        with self._lock:
            self._waiting.append(asked)
            self._call()
        return await asked.answer

    def _call(self) -> None:
        if not self._called:
            self._threads.submit(self._run, turn=self._turn)
            self._called = True

    def _run(self) -> None:
        with self._lock:
            self._called = False
            if len(self._waiting) > 1:
                self._call()
        done: list[tuple[_PendingItem, Inputs | Exception]] = []
        until = self._clock() + SLICE_S
        while (asked := self._next()) is not None:
            done.append((asked, self._made(asked)))
            if len(done) == TOGETHER or self._clock() >= until:
                break
        if done:
            done[0][0].answer.get_loop().call_soon_threadsafe(_answer, done)
        with self._lock:
            if self._waiting:
                self._call()

    def _next(self) -> _PendingItem | None:
        with self._lock:
            while self._waiting:
                asked = self._waiting.popleft()
                if not asked.answer.cancelled():
                    return asked
            return None

    def _made(self, asked: _PendingItem) -> Inputs | Exception:
        try:
            return self._read(asked.text, asked.data)
        except Exception as err:  # it is raised where the answer is awaited
            return err


def _answer(done: list[tuple[_PendingItem, Inputs | Exception]]) -> None:
    for asked, made in done:
        if asked.answer.cancelled():
            continue
        if isinstance(made, Exception):
            asked.answer.set_exception(made)
        else:
            asked.answer.set_result(made)
