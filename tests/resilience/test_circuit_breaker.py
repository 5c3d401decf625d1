"""The circuit breaker, with an artificial clock."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import FatalError, InvalidInput, LiveshelfError, Unavailable
from resilience.circuit_breaker import Circuit, CircuitPolicy, CircuitRegistry, Outcome

POLICY = CircuitPolicy(failures=3, open_s=1.0, max_open_s=4.0, jitter=0.0)


class Service:
    """A service behind a circuit; counts the calls that reach it."""

    def __init__(self, policy: CircuitPolicy = POLICY, chance: float = 0.0) -> None:
        self.now = 0.0
        self.reached = 0
        self.circuit = Circuit("it", policy, clock=lambda: self.now, chance=lambda: chance)

    def ask(self, answer: BaseException | None = None) -> bool:
        """Whether the call reached the service."""
        before = self.reached
        try:
            with self.circuit.guard():
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
    with pytest.raises(Unavailable, match=r"3 times in a row; the next request is allowed in 1\.0 s"):
        service.circuit.guard().__enter__()
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
    with suppress(asyncio.CancelledError), service.circuit.guard():
        assert not service.ask()
        raise asyncio.CancelledError
    assert service.ask()


def test_what_was_under_way_when_it_opened_does_not_open_it_for_longer() -> None:
    service = Service()
    with suppress(Unavailable), service.circuit.guard():
        service.fail(3)
        raise Unavailable("late")
    service.now += 1
    assert service.ask()


def test_late_failures_start_the_open_time_again_if_the_policy_says_so() -> None:
    service = Service(replace(POLICY, late_failures_extend=True, max_open_s=1.0))
    with suppress(Unavailable), service.circuit.guard():
        service.fail(3)
        service.now += 0.9
        raise Unavailable("late")
    service.now += 0.9
    assert not service.ask()
    service.now += 0.1
    assert service.ask()


def test_the_policy_says_what_is_a_failure_and_the_caller_which_error_an_open_circuit_raises() -> None:
    def classify(error: BaseException) -> Outcome:
        return Outcome.FAILURE if isinstance(error, KeyError) else Outcome.UNKNOWN

    circuit = Circuit("it", replace(POLICY, classify=classify), refuse=LookupError, clock=lambda: 0.0)
    for error in (KeyError(), KeyError(), Unavailable("says nothing"), KeyError()):
        with suppress(KeyError, Unavailable), circuit.guard():
            raise error
    with pytest.raises(LookupError, match="it has failed 3 times in a row"):
        circuit.guard().__enter__()


def test_a_registry_has_a_circuit_for_each_key_that_failed_and_drops_the_oldest_failure() -> None:
    now = 0.0
    registry = CircuitRegistry(POLICY, limit=2, clock=lambda: now)

    def ask(key: str, answer: Exception | None = None) -> None:
        with registry.guard(key):
            if answer is not None:
                raise answer

    def fail(key: str, times: int) -> None:
        for _ in range(times):
            with pytest.raises(Unavailable, match="down"):
                ask(key, Unavailable("down"))

    ask("a")
    assert len(registry) == 0
    fail("a", 3)
    fail("b", 3)
    with pytest.raises(Unavailable, match="a has failed 3 times in a row"):
        ask("a")
    fail("c", 1)
    assert len(registry) == 2
    ask("a")
    now += 1.0
    ask("b")
    assert len(registry) == 1


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
    service.now += POLICY.max_open_s
    assert service.ask()
    assert service.ask()
