"""One circuit breaker for each image host: a host that is down costs a few time-outs, not one for every product."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from resilience.circuit_breaker import CircuitPolicy, CircuitRegistry, Outcome


@dataclass(frozen=True, slots=True)
class HostCircuitPolicy:
    """After `failures` in a row a host gets no request for `open_s` seconds, then one probe; at most `hosts` are kept.

    A failure is a try that ends as UNAVAILABLE. It counts for the host that the URL names, even after a redirect.
    Hosts that answer take no place in the table.
    """

    failures: int = 5
    open_s: float = 30.0
    hosts: int = 1024


class CircuitOpen(ImageProblem):
    """The host's circuit is open: no request was sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(ImageState.UNAVAILABLE, reason)


class HostCircuits(CircuitRegistry):
    """The hosts that failed recently, by name. An open circuit raises CircuitOpen."""

    def __init__(self, policy: HostCircuitPolicy, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        circuit = CircuitPolicy(
            failures=policy.failures,
            open_s=policy.open_s,
            max_open_s=policy.open_s,
            jitter=0.0,
            classify=_outcome,
            late_failures_extend=True,
        )
        super().__init__(circuit, limit=policy.hosts, refuse=CircuitOpen, clock=clock)


def _outcome(error: BaseException) -> Outcome:
    if not isinstance(error, ImageProblem):
        return Outcome.UNKNOWN
    # Any other state is an answer: a host that responds with 404 is up.
    return Outcome.FAILURE if error.state is ImageState.UNAVAILABLE else Outcome.ANSWER
