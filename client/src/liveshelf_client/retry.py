"""When a request is sent again. All of them only read, so none does anything twice."""

from __future__ import annotations

from dataclasses import dataclass

from liveshelf_client.errors import RateLimitedError, ServiceError, UnavailableError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently. Times are in seconds.

    `tries` is how often a request is sent at most, 1: never again. Where the service does not say when to come back,
    the first wait is `first_s` and each one after it twice the one before, less up to half by chance. One that would
    be longer than `longest_s` is not waited.
    """

    tries: int = 3
    first_s: float = 0.2
    longest_s: float = 5.0

    def wait(self, error: ServiceError, tried: int, chance: float) -> float | None:
        """How long to wait after so many tries before another, None for not at all. `chance` is from 0 to 1."""
        if not isinstance(error, RateLimitedError | UnavailableError) or tried >= self.tries:
            return None
        own: float = self.first_s * 2 ** (tried - 1) * (1 - chance / 2)
        wait = own if error.retry_after is None else error.retry_after
        return wait if wait <= self.longest_s else None
