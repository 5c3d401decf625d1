from __future__ import annotations

import asyncio
import random
import time

import pytest

from tests.simulation.loop import SimLoop, Stuck


def interleaving(seed: int | None) -> list[int]:
    """The order in which five tasks take their three steps each."""
    loop = SimLoop(None if seed is None else random.Random(seed), max_steps=1000)
    seen: list[int] = []

    async def walk(number: int) -> None:
        for _ in range(3):
            seen.append(number)
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(walk(number) for number in range(5)))

    loop.run_until_complete(main())
    return seen


def test_a_seed_draws_the_interleaving():
    assert interleaving(1) == interleaving(1)
    assert len({tuple(interleaving(seed)) for seed in range(20)}) == 20
    assert interleaving(None) == [0, 1, 2, 3, 4] * 3


def test_hours_pass_at_once_and_in_order():
    loop = SimLoop(random.Random(1), max_steps=1000)
    seen: list[float] = []

    async def main() -> None:
        for hours in (5, 1, 3):
            loop.call_later(hours * 3600, lambda: seen.append(loop.time() / 3600))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 4 * 3600)
        assert loop.time() == 4 * 3600

    started = time.monotonic()
    loop.run_until_complete(main())
    assert seen == [1, 3]
    assert time.monotonic() - started < 60


def test_waiting_for_each_other_is_detected():
    loop = SimLoop(random.Random(1), max_steps=1000)
    with pytest.raises(Stuck, match="all tasks wait"):
        loop.run_until_complete(asyncio.Queue[int]().get())
    loop.cancel_all()


def test_going_on_for_ever_is_detected():
    async def spin() -> None:
        while True:  # noqa: ASYNC110 -- spinning is the point
            await asyncio.sleep(0)

    loop = SimLoop(random.Random(1), max_steps=1000)
    with pytest.raises(Stuck, match="still running"):
        loop.run_until_complete(spin())
    loop.cancel_all()
