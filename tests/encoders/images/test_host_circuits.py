"""A host that is down gets no requests, then one probe; a host that fails briefly gets a retry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from encoders.images.host_circuits import CircuitOpen, HostCircuitPolicy, HostCircuits
from encoders.images.retry import FetchRetryPolicy, retry_fetch

DOWN = ImageProblem(ImageState.UNAVAILABLE, "it does not answer")
GONE = ImageProblem(ImageState.MISSING, "it has no such image")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> HostCircuits:
    return HostCircuits(HostCircuitPolicy(failures=3, open_s=30, hosts=4), clock=clock)


def ask(breakers: HostCircuits, outcome: ImageProblem | None = None, host: str = "a.example") -> None:
    with breakers.guard(host):
        if outcome:
            raise outcome


def fail(breakers: HostCircuits, times: int, host: str = "a.example") -> None:
    for _ in range(times):
        with pytest.raises(ImageProblem):
            ask(breakers, DOWN, host)


@contextmanager
def refused(match: str) -> Iterator[None]:
    with pytest.raises(CircuitOpen, match=match) as caught:
        yield
    assert caught.value.state is ImageState.UNAVAILABLE


def test_failures_in_a_row_open_it_and_others_are_not_asked(breakers: HostCircuits, clock: Clock):
    fail(breakers, 3)
    clock.now += 18
    with refused(r"a\.example has failed 3 times in a row; the next request is allowed in 12 s"):
        ask(breakers)
    ask(breakers, host="b.example")


def test_an_answer_between_two_failures_begins_the_count_anew(breakers: HostCircuits):
    fail(breakers, 2)
    ask(breakers)
    fail(breakers, 2)
    with pytest.raises(ImageProblem, match="no such image"):
        ask(breakers, GONE)
    fail(breakers, 2)
    ask(breakers)


def test_half_open_lets_one_probe_through_and_its_answer_closes(breakers: HostCircuits, clock: Clock):
    fail(breakers, 3)
    clock.now += 30
    with breakers.guard("a.example"), refused("a probe is running"):
        ask(breakers)
    fail(breakers, 2)
    ask(breakers)


def test_a_probe_that_fails_opens_it_for_as_long_again(breakers: HostCircuits, clock: Clock):
    fail(breakers, 3)
    clock.now += 30
    fail(breakers, 1)
    clock.now += 29
    with refused(r"4 times in a row; the next request is allowed in 1\.0 s"):
        ask(breakers)
    clock.now += 1
    ask(breakers)


def test_a_probe_that_is_called_off_leaves_room_for_another(breakers: HostCircuits, clock: Clock):
    fail(breakers, 3)
    clock.now += 30
    with pytest.raises(asyncio.CancelledError), breakers.guard("a.example"):
        raise asyncio.CancelledError
    ask(breakers)


def test_the_table_is_bounded_and_holds_only_hosts_that_failed(breakers: HostCircuits):
    for number in range(100):
        ask(breakers, host=f"{number}.good.example")
    assert len(breakers) == 0
    for number in range(100):
        fail(breakers, 1, f"{number}.example")
    assert len(breakers) == 4


class Host:
    """Returns its answers in order."""

    def __init__(self, *answers: ImageProblem | bytes) -> None:
        self.answers = list(answers)
        self.calls = 0

    async def __call__(self) -> bytes:
        self.calls += 1
        answer = self.answers.pop(0)
        if isinstance(answer, ImageProblem):
            raise answer
        return answer


ceilings: list[float] = []


def no_wait(low: float, high: float) -> float:
    ceilings.append(high)
    return low


async def test_a_host_that_stumbles_is_asked_again_with_longer_waits():
    ceilings.clear()
    host = Host(DOWN, DOWN, b"photo")
    assert await retry_fetch(host, FetchRetryPolicy(), time_left=lambda: 1.0, uniform=no_wait) == b"photo"
    assert ceilings == [0.2, 0.4]


async def test_the_tries_are_counted_and_the_last_problem_is_told():
    host = Host(*[ImageProblem(ImageState.UNAVAILABLE, str(number)) for number in range(5)])
    with pytest.raises(ImageProblem, match="2"):
        await retry_fetch(host, FetchRetryPolicy(tries=3), time_left=lambda: 1.0, uniform=no_wait)
    assert host.calls == 3


@pytest.mark.parametrize("problem", [GONE, CircuitOpen("left alone"), ImageProblem(ImageState.BLOCKED, "no")])
async def test_what_another_try_cannot_change_is_not_tried_again(problem: ImageProblem):
    host = Host(problem)
    with pytest.raises(ImageProblem):
        await retry_fetch(host, FetchRetryPolicy(), time_left=lambda: 1.0, uniform=no_wait)
    assert host.calls == 1


async def test_no_try_begins_after_the_time_of_the_fetch():
    host = Host(DOWN, b"photo")
    with pytest.raises(ImageProblem):
        await retry_fetch(host, FetchRetryPolicy(), time_left=lambda: 0.1, uniform=lambda low, high: high)
    assert host.calls == 1
