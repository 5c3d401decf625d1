"""The one thread in which torch runs: whoever asks a question is served before whoever fills the shelf."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from enum import IntEnum
from typing import TypeVar

from catalog.errors import Hopeless, Unavailable

T = TypeVar("T")
R = TypeVar("R")


class Turn(IntEnum):
    """Who goes first when both wait."""

    QUERY = 0
    ITEMS = 1


class DeviceThread:
    """Runs functions one at a time, in one thread, under inference mode; at most `waiting` of them wait."""

    def __init__(self, *, waiting: int) -> None:
        self._waiting = waiting
        self._lock = threading.Lock()
        self._queues: tuple[deque[Callable[[], None]], ...] = (deque(), deque())
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="torch")

    async def run(self, call: Callable[[], R], *, turn: Turn) -> R:
        """What `call` returns. Raises Unavailable when too many wait already, and whatever `call` raises."""
        done: Future[R] = Future()

        def job() -> None:
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(_inferring(call))
                except BaseException as err:  # it is raised again where the result is awaited
                    done.set_exception(err)

        with self._lock:
            if sum(map(len, self._queues)) >= self._waiting:
                raise Unavailable("The encoder has more waiting than it can serve: try again in a moment.")
            self._queues[turn].append(job)
        # One submit per job keeps the executor's own count right; which job it runs is decided when it gets to it.
        self._executor.submit(self._next)
        return await asyncio.wrap_future(done)

    def close(self) -> None:
        """Let the running call finish, forget the others."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _next(self) -> None:
        with self._lock:
            job = next(queue for queue in self._queues if queue).popleft()
        job()


def in_halves(forward: Callable[[Sequence[T]], list[R]], batch: Sequence[T]) -> list[R]:
    """`forward(batch)`, in halves where the device has no memory for the whole.

    Raises Hopeless when one item alone does not fit, or when the device is lost.
    """
    import torch

    try:
        return forward(batch)
    except (torch.OutOfMemoryError, MemoryError) as err:
        if len(batch) == 1:
            raise Hopeless("The device has no memory for a single item: use a larger one or a smaller model.") from err
    except torch.AcceleratorError as err:
        raise Hopeless("The device that encodes is lost: restart the process.") from err
    # Outside the handler, so that what the failed forward held is let go before the cache is emptied.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(batch) // 2
    return in_halves(forward, batch[:half]) + in_halves(forward, batch[half:])


def _inferring(call: Callable[[], R]) -> R:
    import torch

    with torch.inference_mode():
        return call()
