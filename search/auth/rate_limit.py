"""Limits the request rate of each key, by a token bucket whose capacity is the tokens of one second."""

from __future__ import annotations

import time
from collections.abc import Callable


class RateLimiter:
    """One token bucket for each name. Names are ids of valid keys, so their number is bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, name: str, rate: float) -> float:
        """Take a token and return 0, or return the seconds until one is available. `rate` is in tokens per second."""
        now = self._clock()
        tokens, since = self._buckets.get(name, (max(1.0, rate), now))
        tokens = min(max(1.0, rate), tokens + (now - since) * rate)
        enough = tokens >= 1
        self._buckets[name] = (tokens - enough, now)
        return 0.0 if enough else (1 - tokens) / rate
