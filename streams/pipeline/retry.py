"""Retries with exponential backoff for as long as a service is unavailable."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from catalog.errors import Unavailable
from streams.config import OutageRetryPolicy


async def retry_until_available(
    step: Callable[[], Awaitable[None]],
    policy: OutageRetryPolicy,
    *,
    on_failure: Callable[[Unavailable], None],
    uniform: Callable[[float, float], float] = random.uniform,
) -> None:
    """Runs `step` until it does not raise Unavailable. `on_failure` is called with each; other errors propagate.

    The waits have full jitter, so that workers that lost a service together do not return together.
    """
    ceiling = policy.initial_s
    while True:
        try:
            return await step()
        except Unavailable as error:
            on_failure(error)
        await asyncio.sleep(uniform(0.0, ceiling))
        ceiling = min(policy.max_s, ceiling * 2)
