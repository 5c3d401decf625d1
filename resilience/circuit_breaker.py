"""A circuit breaker: a service that is down is left alone for a while, instead of being asked by everyone all the time.

closed ── `failures` in a row ──► open ── a while, longer each time ──► half-open: one probe
   ▲                               ▲                                       │       │
   └────────── it answers ─────────┼───────────────────────────────────────┘       │
                                   └──────────────── it fails again ───────────────┘
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from catalog.errors import Unavailable


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """After `failures` in a row a service is left alone for `open_s` seconds, twice that after each probe that fails.

    Never longer than `most_s`; each time is shortened at random by up to `jitter` of itself, so that many processes
    do not come back at once.
    """

    failures: int = 5
    open_s: float = 1.0
    most_s: float = 10.0
    jitter: float = 0.5


class Circuit:
    """The breaker of one service, shared by all who ask it from one event loop."""

    def __init__(
        self,
        name: str,
        policy: CircuitPolicy = CircuitPolicy(),
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`name` is how the service is called in sentences; `clock` gives seconds, `chance` numbers from 0 to 1."""
        self._name = name
        self._policy = policy
        self._clock = clock
        self._chance = chance
        self._failures = 0
        self._until = 0.0
        self._probing = False

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask inside. Raises Unavailable instead, at once, where the service is not to be asked now.

        Unavailable from inside is a failure. Any other error is an answer; a call that is called off is neither.
        """
        probe = self._admit()
        try:
            yield
        except Unavailable:
            # The calls that were under way when the circuit opened fail as well: they are no news.
            if probe or not self._open:
                self._failed()
            raise
        except Exception:
            self._failures = 0
            raise
        else:
            self._failures = 0
        finally:
            if probe:
                self._probing = False

    @property
    def _open(self) -> bool:
        return self._failures >= self._policy.failures

    def _admit(self) -> bool:
        """Whether this call is the probe."""
        if not self._open:
            return False
        left = self._until - self._clock()
        if left > 0 or self._probing:
            when = f"it is asked again in {left:.1f} s" if left > 0 else "one call is asking it now"
            raise Unavailable(f"{self._name} has failed {self._failures} times in a row; {when}")
        self._probing = True
        return True

    def _failed(self) -> None:
        self._failures += 1
        over = self._failures - self._policy.failures
        if over >= 0:
            longest = min(self._policy.most_s, self._policy.open_s * 2 ** min(over, 32))
            self._until = self._clock() + longest * (1 - self._policy.jitter * self._chance())
