"""Asking a host again that failed a moment ago: a few times, with full jitter, within the time of one fetch."""

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

# A photo that cannot be had is told in its product's image_reason; stamina would warn of every single try.
logging.getLogger("stamina").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class FetchRetryPolicy:
    """At most `tries` in all; the wait before the next is uniform from 0 to a ceiling that doubles up to `max_s`."""

    tries: int = 3
    initial_s: float = 0.2
    max_s: float = 2.0


async def retry_fetch(
    ask: Callable[[], Awaitable[T]],
    policy: FetchRetryPolicy,
    *,
    time_left: Callable[[], float],
    uniform: Callable[[float, float], float] = random.uniform,
) -> T:
    """What `ask` gives, asked again while it is UNAVAILABLE, tries are left and the next wait ends before `time_left`.

    Raises the last ImageProblem. A host whose circuit is open is not asked again.
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
            return await ask()
    raise AssertionError("stamina gives an attempt or raises")
