"""How often each caller may ask: a bucket of tokens that fills at its rate and holds what comes in a second."""

from __future__ import annotations

import time
from collections.abc import Callable


class RateLimiter:
    """One bucket for each name; there are as many as there are keys."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, name: str, rate: float) -> float:
        """Takes a token where there is one, and then says 0; otherwise the seconds until there is one."""
        now = self._clock()
        tokens, since = self._buckets.get(name, (max(1.0, rate), now))
        tokens = min(max(1.0, rate), tokens + (now - since) * rate)
        enough = tokens >= 1
        self._buckets[name] = (tokens - enough, now)
        return 0.0 if enough else (1 - tokens) / rate
