"""Dynamic batching of items: a forward pass takes waiting items of any number of batches."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from catalog.ports import Vector
from encoders.batching.batch_size import ForwardSize
from encoders.batching.executor import Priority, PriorityThreadPool
from encoders.model import Inputs

ItemVectors = dict[str, Vector] | None
"""The named vectors of one item; None if one of them is not finite."""

Forward = Callable[[Sequence[Inputs]], list[ItemVectors]]


@dataclass(slots=True, eq=False)
class _PendingBatch:
    inputs: Sequence[Inputs]
    vectors: list[ItemVectors]
    pending: int
    result: Future[list[ItemVectors]] = field(default_factory=Future)


@dataclass(slots=True, eq=False)
class _PendingItem:
    sequence: int
    batch: _PendingBatch
    index: int

    @property
    def inputs(self) -> Inputs:
        return self.batch.inputs[self.index]


class ItemBatcher:
    """Sends the items of one lane to the device.

    A forward pass is submitted as soon as an item waits. When it starts it takes the oldest waiting items, whichever
    batch they came in. So an idle device adds no latency, and a busy one builds larger batches, which cost less for
    each item. The items of one forward pass all have a photo, or all have none. Those of one batch are ordered by
    the length of their titles. The number of waiting items is bounded by the batches that the lane has in flight.
    """

    def __init__(
        self, forward: Forward, device: PriorityThreadPool, sizes: Mapping[bool, ForwardSize], priority: Priority
    ) -> None:
        """`sizes` gives the number of items in a forward pass, with photos (True) and without."""
        self._forward = forward
        self._device = device
        self._sizes = sizes
        self._priority = priority
        self._waiting: dict[bool, deque[_PendingItem]] = {has_photo: deque() for has_photo in sizes}
        self._last_sequence = 0
        self._submitted = False  # a forward pass is submitted and has not started
        self._lock = threading.Lock()

    async def encode(self, inputs: Sequence[Inputs]) -> list[ItemVectors]:
        """The vectors of each item, in order. Raises the errors of their forward passes, and the device's Unavailable.

        If the caller is cancelled, items that no forward pass has taken yet are dropped.
        """
        if not inputs:
            return []
        batch = _PendingBatch(inputs, [None] * len(inputs), len(inputs))
        with self._lock:
            for index in sorted(range(len(inputs)), key=lambda i: len(inputs[i].tokens)):
                self._last_sequence += 1
                self._waiting[inputs[index].pixels is not None].append(_PendingItem(self._last_sequence, batch, index))
            self._submit()
        return await asyncio.wrap_future(batch.result)

    def _submit(self) -> None:
        if not self._submitted:
            self._device.submit(self._run, priority=self._priority)
            self._submitted = True

    def _run(self) -> None:
        with self._lock:
            self._submitted = False
            items = self._take()
            if any(self._waiting.values()):
                self._submit()
        if not items:
            return
        try:
            vectors = self._forward([item.inputs for item in items])
        except BaseException as error:
            for batch in {item.batch for item in items}:
                self._fail(batch, error)
        else:
            self._store(items, vectors)

    def _take(self) -> list[_PendingItem]:
        """The oldest items, all with a photo or all without, as the oldest of them."""
        queues = {has_photo: queue for has_photo, queue in self._waiting.items() if queue}
        if not queues:
            return []
        has_photo = min(queues, key=lambda kind: queues[kind][0].sequence)
        items: list[_PendingItem] = []
        while queues[has_photo] and len(items) < self._sizes[has_photo].now:
            item = queues[has_photo].popleft()
            if not item.batch.result.done():  # otherwise its caller is gone
                items.append(item)
        return items

    def _store(self, items: Sequence[_PendingItem], vectors: Sequence[ItemVectors]) -> None:
        complete = []
        with self._lock:
            for item, item_vectors in zip(items, vectors, strict=True):
                item.batch.vectors[item.index] = item_vectors
                item.batch.pending -= 1
                if not item.batch.pending:
                    complete.append(item.batch)
        for batch in complete:
            if batch.result.set_running_or_notify_cancel():
                batch.result.set_result(batch.vectors)

    def _fail(self, batch: _PendingBatch, error: BaseException) -> None:
        with self._lock:
            if not batch.result.done() and batch.result.set_running_or_notify_cancel():
                batch.result.set_exception(error)
