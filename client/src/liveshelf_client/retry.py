"""Decides when a request is sent again. Every request only reads, so repeating it is safe."""

from __future__ import annotations

from dataclasses import dataclass

from liveshelf_client.errors import RateLimitedError, ServiceError, UnavailableError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with jitter; times in seconds.

    A request is sent at most `tries` times; 1 disables retries. The client waits for the service's Retry-After. Without
    one it waits `first_s`, then twice as long after each try, minus a random share of up to half. It gives up if a wait
    would exceed `longest_s`.
    """

    tries: int = 3
    first_s: float = 0.2
    longest_s: float = 5.0

    def wait(self, error: ServiceError, attempt: int, chance: float) -> float | None:
        """The seconds to wait after try number `attempt` (from 1), None to give up. `chance` is random in 0..1."""
        if not isinstance(error, RateLimitedError | UnavailableError) or attempt >= self.tries:
            return None
        backoff: float = self.first_s * 2 ** (attempt - 1) * (1 - chance / 2)
        wait = backoff if error.retry_after is None else error.retry_after
        return wait if wait <= self.longest_s else None
