"""The circuit breaker, on a clock of the tests' own."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import FatalError, InvalidInput, LiveshelfError, Unavailable
from resilience.circuit_breaker import Circuit, CircuitPolicy

POLICY = CircuitPolicy(failures=3, open_s=1.0, most_s=4.0, jitter=0.0)


class Service:
    """Asked through a circuit; counts the calls that reach it."""

    def __init__(self, policy: CircuitPolicy = POLICY, chance: float = 0.0) -> None:
        self.now = 0.0
        self.reached = 0
        self.circuit = Circuit("it", policy, clock=lambda: self.now, chance=lambda: chance)

    def ask(self, answer: BaseException | None = None) -> bool:
        """Whether the call reached the service."""
        before = self.reached
        try:
            with self.circuit.asking():
                self.reached += 1
                if answer is not None:
                    raise answer
        except (LiveshelfError, asyncio.CancelledError):
            pass
        return self.reached > before

    def fail(self, times: int) -> None:
        for _ in range(times):
            assert self.ask(Unavailable("down"))


def test_it_opens_after_failures_in_a_row_and_closes_at_an_answer() -> None:
    service = Service()
    service.fail(2)
    assert service.ask()
    service.fail(3)
    with pytest.raises(Unavailable, match=r"3 times in a row; it is asked again in 1\.0 s"):
        service.circuit.asking().__enter__()
    service.now += 0.9
    assert not service.ask()
    service.now += 0.1
    assert service.ask()
    service.fail(3)


def test_each_probe_that_fails_doubles_the_time_up_to_the_most() -> None:
    service = Service()
    service.fail(3)
    for left_alone in (1.0, 2.0, 4.0, 4.0):
        service.now += left_alone - 0.01
        assert not service.ask()
        service.now += 0.01
        service.fail(1)


def test_the_time_is_shortened_at_random() -> None:
    service = Service(CircuitPolicy(failures=1, open_s=1.0, jitter=0.5), chance=1.0)
    service.fail(1)
    service.now += 0.5
    assert service.ask()


@pytest.mark.parametrize("answer", [FatalError("no key"), InvalidInput("bad point"), None])
def test_a_refusal_is_an_answer(answer: Exception | None) -> None:
    service = Service()
    service.fail(2)
    assert service.ask(answer)
    service.fail(3)
    assert not service.ask()


def test_one_call_probes_and_one_that_is_called_off_leaves_it_to_the_next() -> None:
    service = Service()
    service.fail(3)
    service.now += 1
    with suppress(asyncio.CancelledError), service.circuit.asking():
        assert not service.ask()
        raise asyncio.CancelledError
    assert service.ask()


def test_what_was_under_way_when_it_opened_does_not_open_it_for_longer() -> None:
    service = Service()
    with suppress(Unavailable), service.circuit.asking():
        service.fail(3)
        raise Unavailable("late")
    service.now += 1
    assert service.ask()


@given(st.lists(st.tuples(st.floats(0.001, 0.5), st.booleans()), max_size=200))
def test_a_dead_service_is_asked_seldom_and_a_live_one_within_the_most(steps: list[tuple[float, bool]]) -> None:
    service = Service()
    dead_since: float | None = None
    for wait, up in steps:
        service.now += wait
        if up:
            dead_since = None
        elif dead_since is None:
            dead_since, service.reached = service.now, 0
        service.ask(None if up else Unavailable("down"))
        if dead_since is not None:
            assert service.reached <= POLICY.failures + 1 + (service.now - dead_since) / POLICY.open_s
    service.now += POLICY.most_s
    assert service.ask()
    assert service.ask()
