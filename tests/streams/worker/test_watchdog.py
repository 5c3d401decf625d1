"""What counts as a stall, and what only looks like one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from catalog.errors import Unavailable
from streams.config import BatchPolicy, OutageRetryPolicy, StallPolicy
from streams.pipeline.pipeline import Pipeline
from streams.worker.watchdog import Stalled, Watchdog
from tests.streams.stages import Acks, Batch, RecordingStages

LIMIT = StallPolicy(seconds=300, look_every_s=0.005)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def nothing() -> int:
    return 0


async def three() -> int:
    return 3


class Hanging(RecordingStages):
    """Never returns from one stage."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self.at = stage

    async def _pass(self, stage: str, batch: Batch) -> None:
        await super()._pass(stage, batch)
        if stage == self.at:
            await asyncio.Event().wait()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def lane_of(stages: RecordingStages, clock: Clock) -> AsyncIterator[Pipeline[Batch]]:
    retry = OutageRetryPolicy(initial_s=0.001, max_s=0.002)
    lane = Pipeline(stages, lane="live", batch=BatchPolicy(max_records=4, within_s=0.001), retry=retry, clock=clock)
    running = asyncio.create_task(lane.run())
    try:
        yield lane
    finally:
        running.cancel()
        await asyncio.wait({running})


def watchdog(lane: Pipeline[Batch], clock: Clock, lag: Callable[[], Awaitable[int]] = nothing) -> Watchdog:
    return Watchdog([lane], LIMIT, lag=lag, clock=clock)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while True:
            if holds():
                return
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("stage", ["plan", "prepare", "encode", "write"])
async def test_a_stage_that_hangs_is_named_with_its_age(clock: Clock, stage: str) -> None:
    stages = Hanging(stage)
    async with lane_of(stages, clock) as lane:
        dog = watchdog(lane, clock)
        await lane.put(Acks().delivery(0))
        await until(lambda: stage in stages.tried)
        clock.now += 300
        await dog.check()
        clock.now += 1
        with pytest.raises(Stalled, match=rf"live lane stands still: 1 records have been at {stage} for 301 s"):
            await dog.check()


async def test_an_acknowledgement_that_hangs_is_seen_too(clock: Clock) -> None:
    async with lane_of(RecordingStages(), clock) as lane:
        delivery = Acks().delivery(0)
        acking = asyncio.Event()

        async def hang() -> None:
            acking.set()
            await asyncio.Event().wait()

        await lane.put(type(delivery)(delivery.record, hang))
        await acking.wait()
        clock.now += 301
        with pytest.raises(Stalled, match="at acknowledge"):
            await watchdog(lane, clock).check()


async def test_a_slow_batch_that_moves_is_left_alone(clock: Clock) -> None:
    gates = {stage: asyncio.Event() for stage in ("plan", "prepare", "encode", "write")}

    class Gated(RecordingStages):
        async def _pass(self, stage: str, batch: Batch) -> None:
            await super()._pass(stage, batch)
            await gates[stage].wait()

    stages, acks = Gated(), Acks()
    async with lane_of(stages, clock) as lane:
        dog = watchdog(lane, clock)
        await lane.put(acks.delivery(0))
        for number, gate in enumerate(gates.values(), 1):
            await until(lambda number=number: len(stages.tried) == number)
            clock.now += 299
            await dog.check()
            gate.set()
        await acks.reach(1)
        await until(lambda: lane.progress is None)
        clock.now += 1000
        await dog.check()


async def test_an_outage_is_no_stall_however_long(clock: Clock) -> None:
    stages = RecordingStages(trouble=lambda stage, batch: Unavailable("away") if stage == "write" else None)
    async with lane_of(stages, clock) as lane:
        dog = watchdog(lane, clock)
        await lane.put(Acks().delivery(0))
        for _ in range(5):
            tries = len(stages.tried)
            await until(lambda tries=tries: len(stages.tried) > tries + 1)
            await dog.check()
            clock.now += 250
        assert lane.outage


async def test_a_try_that_hangs_after_others_failed_is_a_stall(clock: Clock) -> None:
    class Changing(Hanging):
        async def _pass(self, stage: str, batch: Batch) -> None:
            if self.tried.count("write") < 2:
                self.tried.append(stage)
                if stage == "write":
                    raise Unavailable("away")
                return
            await super()._pass(stage, batch)

    stages = Changing("write")
    async with lane_of(stages, clock) as lane:
        await lane.put(Acks().delivery(0))
        await until(lambda: stages.tried.count("write") == 3)
        assert lane.outage
        clock.now += 301
        with pytest.raises(Stalled, match="at write"):
            await watchdog(lane, clock).check()


async def test_records_that_nobody_hands_over_are_a_stall(clock: Clock) -> None:
    async with lane_of(RecordingStages(), clock) as lane:
        dog = watchdog(lane, clock, three)
        await dog.check()
        clock.now += 300
        await dog.check()
        clock.now += 1
        with pytest.raises(Stalled, match="For 301 s 3 records have waited and no lane received any"):
            await dog.check()


async def test_a_lane_that_received_something_starts_the_time_again(clock: Clock) -> None:
    acks = Acks()
    async with lane_of(RecordingStages(), clock) as lane:
        dog = watchdog(lane, clock, three)
        for offset in range(4):
            await dog.check()
            clock.now += 250
            await lane.put(acks.delivery(offset))
            await acks.reach(offset + 1)
            await until(lambda: lane.progress is None)
            await dog.check()
        assert lane.received == 4


async def test_nothing_to_do_and_a_broker_that_is_away_are_no_stall(clock: Clock) -> None:
    answers: list[int | None] = [3, 0, 3, None, 3]

    async def lag() -> int:
        answer = answers.pop(0)
        if answer is None:
            raise Unavailable("the broker is away")
        return answer

    async with lane_of(RecordingStages(), clock) as lane:
        dog = watchdog(lane, clock, lag)
        while answers:
            await dog.check()
            clock.now += 301


async def test_the_broker_is_not_asked_while_there_is_work_in_flight(clock: Clock) -> None:
    calls = 0

    async def lag() -> int:
        nonlocal calls
        calls += 1
        return 1

    stages = Hanging("encode")
    async with lane_of(stages, clock) as lane:
        dog = watchdog(lane, clock, lag)
        await lane.put(Acks().delivery(0))
        await until(lambda: "encode" in stages.tried)
        await dog.check()
        assert calls == 0


async def test_it_checks_by_itself(clock: Clock) -> None:
    stages = Hanging("plan")
    async with lane_of(stages, clock) as lane:
        await lane.put(Acks().delivery(0))
        await until(lambda: stages.tried)
        clock.now += 301
        with pytest.raises(Stalled):
            await asyncio.wait_for(watchdog(lane, clock).run(), 5)
