"""Items gathered into forwards, whatever batches they came in."""

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

Made = dict[str, Vector] | None
Forward = Callable[[Sequence[Inputs]], list[Made]]


@dataclass(slots=True, eq=False)
class _PendingBatch:
    inputs: Sequence[Inputs]
    made: list[Made]
    left: int
    answer: Future[list[Made]] = field(default_factory=Future)


@dataclass(slots=True, eq=False)
class _PendingItem:
    number: int
    batch: _PendingBatch
    place: int

    @property
    def inputs(self) -> Inputs:
        return self.batch.inputs[self.place]


class ItemBatcher:
    """The way of one lane's items to the device.

    A forward is asked for as soon as there are items, and takes those that came first when it begins, of however many
    batches. So a lone product waits for nothing, and while the device is busy those that come gather for the next
    forward: a small one costs far more for each of its items. Items of a forward are alike: all with a photo or all
    without, and of one batch in the order of their titles' lengths. What waits here is bounded by the batches that the
    lane has in flight.
    """

    def __init__(
        self, forward: Forward, device: PriorityThreadPool, sizes: Mapping[bool, ForwardSize], turn: Priority
    ) -> None:
        """`sizes`, by whether there is a photo, say how many items go into a forward, which runs at its `turn`."""
        self._forward = forward
        self._device = device
        self._sizes = sizes
        self._turn = turn
        self._waiting: dict[bool, deque[_PendingItem]] = {photo: deque() for photo in sizes}
        self._numbers = 0
        self._called = False  # a forward is asked for and has not begun
        self._lock = threading.Lock()

    async def encode(self, inputs: Sequence[Inputs]) -> list[Made]:
        """The vectors of each, in order. Raises what a forward of any of them raises, and Unavailable from the device.

        What has not begun when the caller is cancelled never does.
        """
        if not inputs:
            return []
        batch = _PendingBatch(inputs, [None] * len(inputs), len(inputs))
        with self._lock:
            for place in sorted(range(len(inputs)), key=lambda i: len(inputs[i].tokens)):
                self._numbers += 1
                self._waiting[inputs[place].pixels is not None].append(_PendingItem(self._numbers, batch, place))
            self._call()
        return await asyncio.wrap_future(batch.answer)

    def _call(self) -> None:
        if not self._called:
            self._device.submit(self._run, turn=self._turn)
            self._called = True

    def _run(self) -> None:
        with self._lock:
            self._called = False
            items = self._next()
            if any(self._waiting.values()):
                self._call()
        if not items:
            return
        try:
            made = self._forward([item.inputs for item in items])
        except BaseException as error:
            for batch in {item.batch for item in items}:
                self._fail(batch, error)
        else:
            self._note(items, made)

    def _next(self) -> list[_PendingItem]:
        """Those that came first, of the kind that came first."""
        there = {photo: items for photo, items in self._waiting.items() if items}
        if not there:
            return []
        photo = min(there, key=lambda kind: there[kind][0].number)
        found: list[_PendingItem] = []
        while there[photo] and len(found) < self._sizes[photo].now:
            item = there[photo].popleft()
            if not item.batch.answer.done():  # otherwise nobody waits for it any more
                found.append(item)
        return found

    def _note(self, items: Sequence[_PendingItem], made: Sequence[Made]) -> None:
        ready = []
        with self._lock:
            for item, one in zip(items, made, strict=True):
                item.batch.made[item.place] = one
                item.batch.left -= 1
                if not item.batch.left:
                    ready.append(item.batch)
        for batch in ready:
            if batch.answer.set_running_or_notify_cancel():
                batch.answer.set_result(batch.made)

    def _fail(self, batch: _PendingBatch, error: BaseException) -> None:
        with self._lock:
            if not batch.answer.done() and batch.answer.set_running_or_notify_cancel():
                batch.answer.set_exception(error)
