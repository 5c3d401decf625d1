"""Circuit breakers: callers stop sending requests to a service that is down, and probe it from time to time.

closed ── `failures` in a row ──► open ── `open_s`, up to `max_open_s` ──► half-open: one probe
   ▲                               ▲                                         │       │
   └──────── the probe succeeds ───┼─────────────────────────────────────────┘       │
                                   └───────────────── the probe fails ───────────────┘
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from catalog.errors import Unavailable


class Outcome(Enum):
    """What a call says about its service. A cancelled call, for example, says nothing: UNKNOWN."""

    ANSWER = auto()
    FAILURE = auto()
    UNKNOWN = auto()


def unavailable_is_failure(error: BaseException) -> Outcome:
    """Unavailable is a failure, and any other Exception is an answer: the service was reached."""
    if isinstance(error, Unavailable):
        return Outcome.FAILURE
    return Outcome.ANSWER if isinstance(error, Exception) else Outcome.UNKNOWN


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """After `failures` in a row the circuit opens for `open_s` seconds. Each failed probe doubles the time.

    The time never exceeds `max_open_s`. It is shortened at random by up to `jitter` of itself, so that many processes
    do not return at the same moment. `classify` maps the error of a call to an Outcome. If `late_failures_extend`, the
    failure of a call that began before the circuit opened counts too, and starts the open time again.
    """

    failures: int = 5
    open_s: float = 1.0
    max_open_s: float = 10.0
    jitter: float = 0.5
    classify: Callable[[BaseException], Outcome] = unavailable_is_failure
    late_failures_extend: bool = False


class Circuit:
    """The circuit breaker of one service, shared by all callers in one event loop."""

    def __init__(
        self,
        name: str,
        policy: CircuitPolicy = CircuitPolicy(),
        *,
        refuse: Callable[[str], Exception] = Unavailable,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`name` is the service's name in error sentences, of which `refuse` makes the error of an open circuit.

        `clock` gives seconds, `chance` numbers from 0 to 1.
        """
        self._name = name
        self._policy = policy
        self._refuse = refuse
        self._clock = clock
        self._chance = chance
        self._failures = 0
        self._open_until = 0.0
        self._probing = False

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Call the service inside. If the circuit is open, the error of `refuse` is raised at once instead."""
        probe = self.admit()
        with _observed(self._policy, partial(self.record, probe=probe)):
            yield

    def admit(self) -> bool:
        """Let one call begin. Returns whether it is the probe; raises the error of `refuse` if the circuit is open."""
        if not self._open:
            return False
        seconds = self._open_until - self._clock()
        if seconds > 0 or self._probing:
            next_call = f"the next request is allowed in {_rounded(seconds)} s" if seconds > 0 else "a probe is running"
            raise self._refuse(f"{self._name} has failed {self._failures} times in a row; {next_call}")
        self._probing = True
        return True

    def record(self, outcome: Outcome, *, probe: bool = False) -> None:
        """Count the outcome of a call that was admitted."""
        if probe:
            self._probing = False
        if outcome is Outcome.ANSWER:
            self._failures = 0
        elif outcome is Outcome.FAILURE:
            late = self._open and not probe
            if late and not self._policy.late_failures_extend:
                return
            if late:
                self._probing = False
            self._fail()

    @property
    def _open(self) -> bool:
        return self._failures >= self._policy.failures

    def _fail(self) -> None:
        self._failures += 1
        excess = self._failures - self._policy.failures
        if excess >= 0:
            seconds = min(self._policy.max_open_s, self._policy.open_s * 2 ** min(excess, 32))
            self._open_until = self._clock() + seconds * (1 - self._policy.jitter * self._chance())


class CircuitRegistry:
    """One circuit for each key. At most `limit` keys have one; the key whose last failure is oldest is dropped first.

    Only keys whose last call failed take memory.
    """

    def __init__(
        self,
        policy: CircuitPolicy,
        *,
        limit: int,
        refuse: Callable[[str], Exception] = Unavailable,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """The other arguments are those of every Circuit; its name is its key."""
        self._policy = policy
        self._limit = limit
        self._new_circuit = partial(Circuit, policy=policy, refuse=refuse, clock=clock, chance=chance)
        self._circuits: OrderedDict[str, Circuit] = OrderedDict()

    def __len__(self) -> int:
        return len(self._circuits)

    @contextmanager
    def guard(self, key: str) -> Iterator[None]:
        """`Circuit.guard` of the key's circuit."""
        circuit = self._circuits.get(key)
        probe = circuit is not None and circuit.admit()

        def record(outcome: Outcome) -> None:
            if outcome is Outcome.ANSWER:
                self._circuits.pop(key, None)
            elif outcome is Outcome.FAILURE:
                self._current(key).record(outcome, probe=probe)
            elif circuit is not None:
                circuit.record(outcome, probe=probe)

        with _observed(self._policy, record):
            yield

    def _current(self, key: str) -> Circuit:
        """The circuit that counts a failure. It may be another than that of the call's begin."""
        circuit = self._circuits.setdefault(key, self._new_circuit(key))
        self._circuits.move_to_end(key)
        while len(self._circuits) > self._limit:
            self._circuits.popitem(last=False)
        return circuit


@contextmanager
def _observed(policy: CircuitPolicy, record: Callable[[Outcome], None]) -> Iterator[None]:
    outcome = Outcome.ANSWER
    try:
        yield
    except BaseException as error:
        outcome = policy.classify(error)
        raise
    finally:
        record(outcome)


def _rounded(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
