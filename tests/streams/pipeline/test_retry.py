from __future__ import annotations

import pytest

from catalog.errors import FatalError, Unavailable
from streams.config import OutageRetryPolicy
from streams.pipeline.retry import retry_until_available


async def test_waits_have_full_jitter_below_a_ceiling_that_doubles() -> None:
    asked: list[tuple[float, float]] = []
    failures = 0

    async def step() -> None:
        if len(asked) < 6:
            raise Unavailable("away")

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return 0.0

    def failed(error: Unavailable) -> None:
        nonlocal failures
        failures += 1

    await retry_until_available(step, OutageRetryPolicy(initial_s=1, max_s=8), on_failure=failed, uniform=uniform)
    assert asked == [(0, 1), (0, 2), (0, 4), (0, 8), (0, 8), (0, 8)]
    assert failures == 6


async def test_what_is_not_unavailable_passes() -> None:
    async def step() -> None:
        raise FatalError("no use")

    with pytest.raises(FatalError):
        await retry_until_available(step, OutageRetryPolicy(), on_failure=lambda error: None)
