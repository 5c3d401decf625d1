from __future__ import annotations

import pytest

from catalog.errors import FatalError, Unavailable
from streams.config import OutageRetryPolicy
from streams.pipeline.retry import retry_until_available


async def test_waits_have_full_jitter_below_a_ceiling_that_doubles() -> None:
    waits: list[tuple[float, float]] = []
    failures = 0

    async def step() -> None:
        if len(waits) < 6:
            raise Unavailable("away")

    def uniform(low: float, high: float) -> float:
        waits.append((low, high))
        return 0.0

    def on_failure(error: Unavailable) -> None:
        nonlocal failures
        failures += 1

    await retry_until_available(step, OutageRetryPolicy(initial_s=1, max_s=8), on_failure=on_failure, uniform=uniform)
    assert waits == [(0, 1), (0, 2), (0, 4), (0, 8), (0, 8), (0, 8)]
    assert failures == 6


async def test_other_errors_propagate() -> None:
    async def step() -> None:
        raise FatalError("no use")

    with pytest.raises(FatalError):
        await retry_until_available(step, OutageRetryPolicy(), on_failure=lambda error: None)
