"""Queries gathered into forwards: as many as wait when the device turns to them, and nobody waits for company."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from catalog.errors import FatalError, InvalidInput, Unavailable
from catalog.ports import Vector
from encoders.batching.executor import Priority, PriorityThreadPool
from encoders.model import Inputs


@dataclass(frozen=True, slots=True)
class QueryBatchPolicy:
    """At most `words` queries without a photo in one forward, and `photos` of those with one, whose forwards are long.

    `waiting` bounds the queries of each kind that wait.
    """

    words: int = 32
    photos: int = 4
    waiting: int = 256


@dataclass(frozen=True, slots=True)
class _PendingQuery:
    read: Callable[[], Inputs]
    answer: Future[Vector]


class QueryBatcher:
    """The way of one kind of query to the device.

    A forward is asked for as soon as a query is there, and takes all that wait when it begins: a lone query waits for
    nothing, and while the device is busy, with queries or with products, those that come gather for the next forward.
    """

    def __init__(
        self,
        forward: Callable[[Sequence[Inputs]], list[Vector]],
        device: PriorityThreadPool,
        *,
        together: int,
        waiting: int,
    ) -> None:
        self._forward = forward
        self._device = device
        self._together = together
        self._most = waiting
        self._waiting: deque[_PendingQuery] = deque()
        self._called = False  # a forward is asked for and has not begun
        self._lock = threading.Lock()

    async def vector(self, read: Callable[[], Inputs]) -> Vector:
        """The vector of what `read` makes, which is called in the device's thread.

        Who is cancelled before the forward begins is not in it. Raises what `read` raises, InvalidInput where the model
        gives no finite vector, Unavailable when too many wait.
        """
        asked = _PendingQuery(read, Future())
        with self._lock:
            if len(self._waiting) >= self._most:
                raise Unavailable("The encoder has more waiting than it can serve: try again in a moment.")
            self._waiting.append(asked)
            self._call()
        return await asyncio.wrap_future(asked.answer)

    def _call(self) -> None:
        if not self._called:
            self._device.submit(self._run, turn=Priority.QUERY)
            self._called = True

    def _run(self) -> None:
        batch: list[_PendingQuery] = []
        with self._lock:
            self._called = False
            while self._waiting and len(batch) < self._together:
                asked = self._waiting.popleft()
                if asked.answer.set_running_or_notify_cancel():
                    batch.append(asked)
            if self._waiting:
                self._call()
        there: list[_PendingQuery] = []
        inputs: list[Inputs] = []
        for asked in batch:
            try:
                inputs.append(asked.read())
                there.append(asked)
            except Exception as error:  # this query's own; the others go on
                asked.answer.set_exception(error)
        if there:
            self._answer(there, inputs)

    def _answer(self, batch: Sequence[_PendingQuery], inputs: Sequence[Inputs]) -> None:
        try:
            vectors = self._forward(inputs)
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, FatalError):
                # Whose fault it was is seen when each goes alone.
                for asked, one in zip(batch, inputs, strict=True):
                    self._answer([asked], [one])
                return
            for asked in batch:
                asked.answer.set_exception(error)
            return
        for asked, vector in zip(batch, vectors, strict=True):
            if np.isfinite(vector).all():
                # A copy, for a row would keep the whole batch in memory wherever it is remembered.
                asked.answer.set_result(vector.copy())
            else:
                asked.answer.set_exception(
                    InvalidInput("The model makes nothing of this query: change its words or photo.")
                )
