"""Trying again for as long as a service is away."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable

import stamina

from catalog.errors import Unavailable
from streams.policy import RetryPolicy

# An outage is logged once, by whoever waits; stamina would warn of every single try.
logging.getLogger("stamina").setLevel(logging.ERROR)


async def until_served(
    step: Callable[[], Awaitable[None]],
    policy: RetryPolicy,
    *,
    on_failure: Callable[[Unavailable], None],
    uniform: Callable[[float, float], float] = random.uniform,
) -> None:
    """Runs `step` until it does not raise Unavailable; any other error passes. `on_failure` hears of every failed try.

    The waits have full jitter, so that workers cut off together do not come back together.
    """
    ceiling = policy.initial_s

    def wait(error: Exception) -> bool | float:
        nonlocal ceiling
        if not isinstance(error, Unavailable):
            return False
        on_failure(error)
        seconds = uniform(0.0, ceiling)
        ceiling = min(policy.max_s, ceiling * 2)
        return seconds

    async for attempt in stamina.retry_context(on=wait, attempts=None, timeout=None):
        with attempt:
            await step()
