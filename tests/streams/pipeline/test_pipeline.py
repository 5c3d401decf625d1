from __future__ import annotations

import asyncio
import logging
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import FatalError, Unavailable
from streams.config import BatchPolicy, OutageRetryPolicy
from streams.pipeline.pipeline import BatchReport, Pipeline
from tests.streams.stages import Acks, Batch, RecordingStages

QUICK = OutageRetryPolicy(initial_s=0.001, max_s=0.002)


def pipeline(stages: RecordingStages, **policy: float) -> Pipeline[Batch]:
    batch = BatchPolicy(**{"max_records": 4, "within_s": 0.005, **policy})  # type: ignore[arg-type]
    return Pipeline(stages, lane="live", batch=batch, retry=QUICK)


async def passed(lane: Pipeline[Batch], acks: Acks, count: int) -> None:
    """Waits until `count` records are acknowledged, then closes the lane."""
    await acks.reach(count)
    lane.close()


async def test_records_pass_every_stage_and_are_acknowledged_in_order() -> None:
    stages, acks = RecordingStages(), Acks()
    lane = pipeline(stages)
    async with asyncio.TaskGroup() as group:
        group.create_task(lane.run())
        for offset in range(100):
            await lane.put(acks.delivery(offset, partition=offset % 3))
        await passed(lane, acks, 100)
    assert [r.offset for r in stages.written] == list(range(100))
    assert [r.offset for r in acks.done] == list(range(100))
    assert lane.in_flight == 0


async def test_stages_of_successive_batches_overlap() -> None:
    stages, acks = RecordingStages(seconds=0.02), Acks()
    lane = pipeline(stages)
    async with asyncio.TaskGroup() as group:
        group.create_task(lane.run())
        for offset in range(40):
            await lane.put(acks.delivery(offset))
        await passed(lane, acks, 40)
    assert stages.most_busy == 4


async def test_no_more_batches_are_in_flight_than_the_policy_says() -> None:
    stages, acks = RecordingStages(seconds=0.005), Acks()
    lane = pipeline(stages, depth=2)
    async with asyncio.TaskGroup() as group:
        group.create_task(lane.run())
        for offset in range(40):
            await lane.put(acks.delivery(offset))
            assert lane.in_flight <= 2 * 4
        await passed(lane, acks, 40)
    assert stages.most_busy <= 2


async def test_a_batch_ships_at_once_when_idle_and_gathers_while_busy() -> None:
    stages, acks, sizes = RecordingStages(seconds=0.02), Acks(), list[int]()
    policy = BatchPolicy(max_records=64, within_s=60, depth=4)
    lane = Pipeline(stages, lane="live", batch=policy, observe=lambda report: sizes.append(len(report.records)))
    async with asyncio.TaskGroup() as group:
        group.create_task(lane.run())
        await lane.put(acks.delivery(0))
        await asyncio.sleep(0.01)
        for offset in range(1, 11):
            await lane.put(acks.delivery(offset))
        await passed(lane, acks, 11)
    assert sizes == [1, 10]


async def test_put_waits_while_the_lane_is_full() -> None:
    stages, acks = RecordingStages(trouble=lambda stage, batch: Unavailable("away")), Acks()
    lane = pipeline(stages, depth=1)
    running = asyncio.create_task(lane.run())
    taken = 0

    async def feed() -> None:
        nonlocal taken
        while True:
            await lane.put(acks.delivery(taken))
            taken += 1

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(feed(), 0.1)
    assert taken <= 2 * 4, "one batch in flight and one being gathered"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("stage", ["plan", "prepare", "encode", "write"])
async def test_an_outage_pauses_the_lane_until_it_is_over(stage: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage = True

    def trouble(at: str, batch: Batch) -> Exception | None:
        return Unavailable("the index is away") if outage and at == stage else None

    stages, acks = RecordingStages(trouble=trouble), Acks()
    lane = pipeline(stages)
    async with asyncio.TaskGroup() as group:
        group.create_task(lane.run())
        for offset in range(3):
            await lane.put(acks.delivery(offset))
        async with asyncio.timeout(10):
            while stages.tried.count(stage) <= 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert str(lane.outage) == "the index is away"
        assert not acks.done
        outage = False
        await passed(lane, acks, 3)
    assert lane.outage is None
    assert acks.offsets() == [0, 1, 2]
    assert len(caplog.records) == 2, "one line when it begins and one when it ends"
    assert "pauses" in caplog.messages[0]
    assert "goes on" in caplog.messages[1]


@pytest.mark.parametrize("stage", ["plan", "prepare", "encode", "write"])
async def test_a_fatal_error_ends_the_lane_and_acknowledges_nothing_after(stage: str) -> None:
    def trouble(at: str, batch: Batch) -> Exception | None:
        return FatalError("the device is lost") if at == stage and batch[0].offset >= 8 else None

    stages, acks = RecordingStages(trouble=trouble), Acks()
    lane = pipeline(stages)

    async def feed() -> None:
        for offset in range(1000):
            await lane.put(acks.delivery(offset))

    feeding = asyncio.create_task(feed())
    with pytest.raises(FatalError, match="the device is lost"):
        await lane.run()
    feeding.cancel()
    assert acks.offsets() == list(range(len(acks.done)))
    assert len(acks.done) < 16


async def test_an_error_no_stage_should_raise_ends_the_lane_too() -> None:
    stages, acks = RecordingStages(trouble=lambda at, batch: KeyError("a bug")), Acks()
    lane = pipeline(stages)
    await lane.put(acks.delivery(0))
    with pytest.raises(KeyError):
        await lane.run()
    assert not acks.done


async def test_closing_finishes_what_is_in_flight_and_takes_nothing_more() -> None:
    stages, acks = RecordingStages(seconds=0.01), Acks()
    lane = pipeline(stages)
    running = asyncio.create_task(lane.run())
    for offset in range(6):
        await lane.put(acks.delivery(offset))
    await asyncio.sleep(0.005)
    in_flight = lane.in_flight
    lane.close()
    await asyncio.wait_for(running, 2)
    assert in_flight > 0
    assert acks.offsets() == list(range(in_flight))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lane.put(acks.delivery(7)), 0.02)


async def test_closing_an_idle_lane_ends_it() -> None:
    lane = pipeline(RecordingStages())
    running = asyncio.create_task(lane.run())
    await asyncio.sleep(0)
    lane.close()
    await asyncio.wait_for(running, 1)


async def test_a_lane_cut_off_during_an_outage_ends() -> None:
    stages, acks = RecordingStages(trouble=lambda at, batch: Unavailable("away")), Acks()
    lane = pipeline(stages)
    running = asyncio.create_task(lane.run())
    for offset in range(8):
        await lane.put(acks.delivery(offset))
    lane.close()
    running.cancel()
    await asyncio.wait({running}, timeout=1)
    assert running.cancelled()
    assert not acks.done


async def test_a_report_has_the_seconds_of_every_stage() -> None:
    seen: list[BatchReport] = []
    acks = Acks()
    ticks = iter(range(100))
    lane = Pipeline(RecordingStages(), lane="live", observe=seen.append, clock=lambda: float(next(ticks)))
    async with asyncio.TaskGroup() as group:
        group.create_task(lane.run())
        await lane.put(acks.delivery(0))
        await passed(lane, acks, 1)
    assert seen[0].lane == "live"
    assert seen[0].seconds == {"plan": 1, "prepare": 1, "encode": 1, "turn": 1, "write": 1}
    assert (lane.stats.batches, lane.stats.records, lane.stats.seconds) == (1, 1, seen[0].seconds)


async def test_a_batch_is_written_after_the_one_before_it_however_slow_that_is() -> None:
    class FirstIsSlow(RecordingStages):
        async def encode(self, batch: Batch) -> None:
            await asyncio.sleep(0.05 if batch[0].offset == 0 else 0)
            await super().encode(batch)

    stages, acks = FirstIsSlow(), Acks()
    lane = pipeline(stages)
    async with asyncio.TaskGroup() as group:
        group.create_task(lane.run())
        for offset in range(9):
            await lane.put(acks.delivery(offset))
        await passed(lane, acks, 9)
    assert [r.offset for r in stages.written] == list(range(9))
    assert stages.tried.index("write") > max(i for i, stage in enumerate(stages.tried) if stage == "plan")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 6))
def test_acks_keep_the_order_of_arrival_whatever_the_delays_and_outages(seed: int, depth: int, size: int) -> None:
    chance = random.Random(seed)

    class Erratic(RecordingStages):
        async def _pass(self, stage: str, batch: Batch) -> None:
            await asyncio.sleep(chance.choice([0, 0, 0.0005]))
            if chance.random() < 0.2:
                raise Unavailable("now and then")

    async def scenario() -> None:
        stages, acks = Erratic(), Acks()
        lane = pipeline(stages, depth=depth, max_records=size)
        async with asyncio.TaskGroup() as group:
            group.create_task(lane.run())
            for offset in range(30):
                await lane.put(acks.delivery(offset, partition=chance.randrange(3)))
            await passed(lane, acks, 30)
        assert [r.offset for r in acks.done] == list(range(30))
        assert [r.offset for r in stages.written] == list(range(30))

    asyncio.run(scenario())
