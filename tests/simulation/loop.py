"""An event loop without a wall clock: time jumps to the next timer, and ready callbacks run in random order."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any


class Stuck(Exception):
    """A deadlock, or an endless loop."""


class SimLoop(asyncio.AbstractEventLoop):
    """Runs one ready callback at a time, chosen by `order`; callbacks take no time. No threads, no files.

    asyncio runs callbacks in the order of registration. Its own primitives do not need that, and neither may the code
    under test. So every interleaving of tasks that could happen on two machines can be drawn. With `order` None
    callbacks run in the order of registration.
    """

    def __init__(self, order: random.Random | None, *, max_steps: int) -> None:
        self._order = order
        self._max_steps = max_steps
        self._now = 0.0
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self.steps = 0
        self.unhandled: list[str] = []

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Any = None) -> Any:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_until_complete(self, future: Any) -> Any:
        """Raises Stuck if `future` never completes."""
        with _running(self):
            main = asyncio.ensure_future(future, loop=self)
            while not main.done():
                self._step()
            return main.result()

    def cancel_all(self) -> None:
        """Cancels all remaining tasks."""
        with _running(self):
            self.steps = 0
            while remaining := [task for task in asyncio.all_tasks(self) if not task.done()]:
                for task in remaining:
                    task.cancel()
                while self._ready:
                    self._step()

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.unhandled.append(f"{context['message']}: {context.get('exception')!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None: ...

    def _step(self) -> None:
        self.steps += 1
        if self.steps > self._max_steps:
            raise Stuck(f"still running after {self._max_steps} steps, at {self._now:.3f} s")
        if not self._ready:
            self._advance()
        if self._order is None:
            handle = self._ready.pop(0)
        else:
            chosen = int(self._order.random() * len(self._ready))
            self._ready[chosen], self._ready[-1] = self._ready[-1], self._ready[chosen]
            handle = self._ready.pop()
        if not handle.cancelled():
            handle._run()

    def _advance(self) -> None:
        if not self._timers:
            raise Stuck(f"all tasks wait for each other, at {self._now:.3f} s")
        self._now = self._timers[0][0]
        while self._timers and self._timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(self._timers)[2])


@contextmanager
def _running(loop: SimLoop) -> Iterator[None]:
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)
