"""A circuit breaker: a service that is down is left alone for a while, instead of being asked by everyone all the time.

closed ── `failures` in a row ──► open ── a while, longer each time ──► half-open: one probe
   ▲                               ▲                                       │       │
   └────────── it answers ─────────┼───────────────────────────────────────┘       │
                                   └──────────────── it fails again ───────────────┘
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

from catalog.errors import Unavailable


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """After `failures` in a row a service is left alone for `open_s` seconds, twice that after each probe that fails.

    Never longer than `most_s`; each time is shortened at random by up to `jitter` of itself, so that many processes
    do not come back at once.
    """

    failures: int = 3
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
        self._probe: Asking | None = None

    def asking(self) -> AbstractContextManager[None]:
        """Ask inside. Raises Unavailable instead, at once, where the service is not to be asked now.

        What raises Unavailable inside is a failure; every other end is an answer, but for a call that is called off.
        """
        return Asking(self)

    def enter(self, asking: Asking) -> None:
        if self._failures < self._policy.failures:
            return
        left = self._until - self._clock()
        if left > 0 or self._probe is not None:
            when = f"again in {left:.1f} s" if left > 0 else "by another call just now"
            raise Unavailable(f"{self._name} has failed {self._failures} times in a row; it is asked {when}")
        self._probe = asking

    def leave(self, asking: Asking, error: BaseException | None) -> None:
        probe, late = asking is self._probe, self._failures >= self._policy.failures
        if probe:
            self._probe = None
        if error is None or (isinstance(error, Exception) and not isinstance(error, Unavailable)):
            self._failures = 0
        elif isinstance(error, Unavailable) and (probe or not late):
            # The calls that were under way when it opened fail as well: they are no news.
            self._failures += 1
            self._open()

    def _open(self) -> None:
        over = self._failures - self._policy.failures
        if over >= 0:
            longest = min(self._policy.most_s, self._policy.open_s * 2 ** min(over, 32))
            self._until = self._clock() + longest * (1 - self._policy.jitter * self._chance())


class Asking:
    """One call through a circuit."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit

    def __enter__(self) -> None:
        self._circuit.enter(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._circuit.leave(self, error)
