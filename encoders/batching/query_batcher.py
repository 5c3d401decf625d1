"""Dynamic batching of queries: a forward pass takes all queries that wait when it starts."""

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
    """A forward pass has at most `words` queries without a photo, or `photos` with one, whose forward passes are long.

    At most `waiting` queries of each kind wait.
    """

    words: int = 32
    photos: int = 4
    waiting: int = 256


@dataclass(frozen=True, slots=True)
class _PendingQuery:
    read: Callable[[], Inputs]
    result: Future[Vector]


class QueryBatcher:
    """Sends the queries of one kind to the device.

    A forward pass is submitted as soon as a query waits, and takes all that wait when it starts. So a lone query does
    not wait for others, and queries that arrive while the device is busy share the next forward pass.
    """

    def __init__(
        self,
        forward: Callable[[Sequence[Inputs]], list[Vector]],
        device: PriorityThreadPool,
        *,
        max_batch: int,
        max_waiting: int,
    ) -> None:
        self._forward = forward
        self._device = device
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: deque[_PendingQuery] = deque()
        self._submitted = False  # a forward pass is submitted and has not started
        self._lock = threading.Lock()

    async def vector(self, read: Callable[[], Inputs]) -> Vector:
        """The vector of the inputs that `read` returns; the device's thread calls it.

        A query that is cancelled before its forward pass starts is dropped. Raises the errors of `read`, InvalidInput
        if the model gives no finite vector, and Unavailable if too many queries wait.
        """
        query = _PendingQuery(read, Future())
        with self._lock:
            if len(self._waiting) >= self._max_waiting:
                raise Unavailable("Too many calls wait for the encoder: try again in a moment.")
            self._waiting.append(query)
            self._submit()
        return await asyncio.wrap_future(query.result)

    def _submit(self) -> None:
        if not self._submitted:
            self._device.submit(self._run, priority=Priority.QUERY)
            self._submitted = True

    def _run(self) -> None:
        batch: list[_PendingQuery] = []
        with self._lock:
            self._submitted = False
            while self._waiting and len(batch) < self._max_batch:
                query = self._waiting.popleft()
                if query.result.set_running_or_notify_cancel():
                    batch.append(query)
            if self._waiting:
                self._submit()
        readable: list[_PendingQuery] = []
        inputs: list[Inputs] = []
        for query in batch:
            try:
                inputs.append(query.read())
                readable.append(query)
            except Exception as error:  # of this query alone: the others continue
                query.result.set_exception(error)
        if readable:
            self._encode(readable, inputs)

    def _encode(self, batch: Sequence[_PendingQuery], inputs: Sequence[Inputs]) -> None:
        try:
            vectors = self._forward(inputs)
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, FatalError):
                # Run each query alone, to find the one that fails.
                for query, query_inputs in zip(batch, inputs, strict=True):
                    self._encode([query], [query_inputs])
                return
            for query in batch:
                query.result.set_exception(error)
            return
        for query, vector in zip(batch, vectors, strict=True):
            if np.isfinite(vector).all():
                # A copy: a row would keep the memory of the whole batch as long as it is cached.
                query.result.set_result(vector.copy())
            else:
                query.result.set_exception(
                    InvalidInput("The model gives no vector for this query: change its words or photo.")
                )
