"""One circuit breaker a host: a host that is down costs a few time-outs, not one for every product.

closed ── `failures` in a row ──► open ── `open_s` seconds ──► half-open: one probe
   ▲                               ▲                              │      │
   └───────── it answers ──────────┼──────────────────────────────┘      │
                                   └────────────── it fails again ───────┘
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem


@dataclass(frozen=True, slots=True)
class HostCircuitPolicy:
    """After `failures` in a row a host is left alone for `open_s` seconds, then asked once; at most `hosts` are kept.

    A failure is a try that ends as UNAVAILABLE, charged to the host that the URL names, wherever that one sends on to.
    Hosts that answer take no place in the table.
    """

    failures: int = 5
    open_s: float = 30.0
    hosts: int = 1024


class CircuitOpen(ImageProblem):
    """A host that is left alone for now: it was not asked."""

    def __init__(self, reason: str) -> None:
        super().__init__(ImageState.UNAVAILABLE, reason)


@dataclass(slots=True)
class _HostCircuit:
    failures: int = 0
    until: float = 0.0
    probing: bool = False


class HostCircuits:
    """The hosts that have failed of late, least recently used forgotten first."""

    def __init__(self, policy: HostCircuitPolicy, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._policy = policy
        self._clock = clock
        self._hosts: OrderedDict[str, _HostCircuit] = OrderedDict()

    def __len__(self) -> int:
        return len(self._hosts)

    @contextmanager
    def asking(self, host: str) -> Iterator[None]:
        """Ask a host inside. Raises Open instead where it is not to be asked now."""
        probe = self._admit(host)
        try:
            yield
        except ImageProblem as problem:
            # Anything but UNAVAILABLE is an answer: a host that says 404 is up.
            if problem.state is ImageState.UNAVAILABLE:
                self._failed(host)
            else:
                self._hosts.pop(host, None)
            raise
        except BaseException:
            # Called off: nothing was learnt, and the next one may probe.
            if probe is not None:
                probe.probing = False
            raise
        else:
            self._hosts.pop(host, None)

    def _admit(self, host: str) -> _HostCircuit | None:
        """The state of a host that this is the probe of, None where the circuit is closed."""
        known = self._hosts.get(host)
        if known is None or known.failures < self._policy.failures:
            return None
        left = known.until - self._clock()
        if left > 0 or known.probing:
            when = f"again in {max(1, round(left))} s" if left > 0 else "again just now"
            raise CircuitOpen(f"{host} has failed {known.failures} times in a row; it is asked {when}")
        known.probing = True
        return known

    def _failed(self, host: str) -> None:
        known = self._hosts.setdefault(host, _HostCircuit())
        self._hosts.move_to_end(host)
        known.failures += 1
        known.probing = False
        if known.failures >= self._policy.failures:
            known.until = self._clock() + self._policy.open_s
        while len(self._hosts) > self._policy.hosts:
            self._hosts.popitem(last=False)
