"""Retries a fetch from a host that failed: a few attempts with full jitter, within the time of one fetch."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import stamina

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from encoders.images.host_circuits import CircuitOpen

T = TypeVar("T")

# A failed fetch is reported in its product's image_reason; stamina would log a warning for every attempt.
logging.getLogger("stamina").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class FetchRetryPolicy:
    """At most `tries` in all. The wait before the next is uniform from 0 to a ceiling that doubles up to `max_s`."""

    tries: int = 3
    initial_s: float = 0.2
    max_s: float = 2.0


async def retry_fetch(
    fetch: Callable[[], Awaitable[T]],
    policy: FetchRetryPolicy,
    *,
    time_left: Callable[[], float],
    uniform: Callable[[float, float], float] = random.uniform,
) -> T:
    """The result of `fetch`, which is retried while it raises UNAVAILABLE and the next wait ends before `time_left`.

    Raises the last ImageProblem. There is no retry while the host's circuit is open.
    """
    ceiling = policy.initial_s

    def wait(error: Exception) -> bool | float:
        nonlocal ceiling
        if (
            not isinstance(error, ImageProblem)
            or error.state is not ImageState.UNAVAILABLE
            or isinstance(error, CircuitOpen)
        ):
            return False
        seconds = uniform(0.0, ceiling)
        ceiling = min(policy.max_s, ceiling * 2)
        return seconds if seconds < time_left() else False

    async for attempt in stamina.retry_context(on=wait, attempts=policy.tries, timeout=None):
        with attempt:
            return await fetch()
    raise AssertionError("stamina makes an attempt or raises")
