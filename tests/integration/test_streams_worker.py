"""Behaviour of Faust and Kafka that the worker relies on, on a real broker."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import replace

import pytest

from catalog.errors import FatalError, Unavailable
from streams.config import KafkaConfig, TopicConfig, WorkerPolicy
from tests.integration.streaming import POLICY, Place, child, eventually, new_place, working
from tests.streams.stages import Batch, RecordingStages


@pytest.fixture
def place(broker: str) -> Place:
    return new_place(broker)


def numbered(count: int, start: int = 0) -> list[tuple[bytes | None, bytes | None]]:
    return [(b"k%d" % (i % 7), b"%d" % i) for i in range(start, start + count)]


async def test_records_arrive_unchanged_and_are_committed(place: Place) -> None:
    stages = RecordingStages()
    place.produce([(b"k", b"value"), (b"gone", None), (None, b"no key")])
    async with working(place, stages):
        await eventually(lambda: len(stages.written) == 3)
        await eventually(lambda: sum(place.committed().values()) == 3)
    by_key = {record.key: record for record in stages.written}
    assert by_key[b"k"].value == b"value"
    assert by_key[b"gone"].value is None, "a tombstone comes through"
    assert by_key[None].value == b"no key"
    assert all(record.topic == place.topics.live for record in stages.written)
    assert all(record.timestamp > 1_600_000_000_000 for record in stages.written)


async def test_partitions_keep_their_order_and_everything_is_committed_on_stop(place: Place) -> None:
    stages = RecordingStages(seconds=0.002)
    place.produce(numbered(500))
    async with working(place, stages) as running:
        await eventually(lambda: len(stages.written) == 500)
        await running.stop()
    for partition in range(3):
        offsets = [record.offset for record in stages.written if record.partition == partition]
        assert offsets == list(range(len(offsets)))
        assert place.committed().get(partition, 0) == len(offsets)


async def test_nothing_is_committed_while_writes_fail_and_all_comes_again(place: Place) -> None:
    refusing = RecordingStages(trouble=lambda stage, batch: Unavailable("away") if stage == "write" else None)
    place.produce(numbered(20))
    policy = WorkerPolicy(batch=POLICY.batch, retry=POLICY.retry, commit_every_s=0.2, drain_s=0.5)
    async with working(place, refusing, policy) as running:
        await eventually(lambda: "write" in refusing.tried)
        await asyncio.sleep(1)
        assert not running.worker.ready
    assert not place.committed()
    accepting = RecordingStages()
    async with working(place, accepting) as running:
        await eventually(lambda: len(accepting.written) == 20)
        assert running.worker.ready


async def test_commits_never_pass_a_record_in_flight(place: Place) -> None:
    stuck_at = 30

    def trouble(stage: str, batch: Batch) -> Exception | None:
        stuck = any(record.offset >= stuck_at for record in batch)
        return Unavailable("stuck") if stage == "write" and stuck else None

    place.produce(numbered(100), partition=1)
    stages = RecordingStages(trouble=trouble)
    policy = WorkerPolicy(batch=POLICY.batch, retry=POLICY.retry, commit_every_s=0.1, drain_s=0.2)
    async with working(place, stages, policy):
        await eventually(lambda: 1 in place.committed())
        await asyncio.sleep(1)
        assert place.committed()[1] == len(stages.written) <= stuck_at
    assert place.committed()[1] == len(stages.written)


async def test_a_service_that_comes_back_is_noticed_and_nothing_is_lost(place: Place) -> None:
    away = True
    stages = RecordingStages(trouble=lambda stage, batch: Unavailable("away") if away and stage == "plan" else None)
    async with working(place, stages) as running:
        place.produce(numbered(300))
        await eventually(lambda: not running.worker.ready)
        place.produce(numbered(300, 300))
        away = False
        await eventually(lambda: len(stages.written) == 600)
        assert running.worker.ready
        await eventually(lambda: sum(place.committed().values()) == 600)
    assert sorted(int(r.value or b"") for r in stages.written) == list(range(600))


async def test_an_outage_with_more_records_than_the_buffer_holds_loses_and_reorders_none(place: Place) -> None:
    away = True
    stages = RecordingStages(trouble=lambda stage, batch: Unavailable("away") if away and stage == "plan" else None)
    policy = replace(POLICY, batch=replace(POLICY.batch, buffer=40))
    place.produce(numbered(2000))
    async with working(place, stages, policy) as running:
        await eventually(lambda: not running.worker.ready)
        await asyncio.sleep(2)
        away = False
        await eventually(lambda: sum(place.committed().values()) == 2000, timeout_s=60)
    for partition in range(3):
        offsets = [record.offset for record in stages.written if record.partition == partition]
        assert offsets == list(range(len(offsets)))


async def test_both_topics_are_read(place: Place) -> None:
    stages = RecordingStages()
    other = Place(place.kafka, TopicConfig(live=place.topics.backfill))
    async with working(place, stages):
        place.produce(numbered(5))
        other.produce(numbered(5))
        await eventually(lambda: len(stages.written) == 10)
    assert {record.topic for record in stages.written} == {place.topics.live, place.topics.backfill}


async def test_a_fatal_error_ends_the_worker_and_commits_nothing_of_the_batch(place: Place) -> None:
    stages = RecordingStages(
        trouble=lambda stage, batch: FatalError("the device is lost") if stage == "encode" else None
    )
    async with working(place, stages) as running:
        place.produce(numbered(5))
        with pytest.raises(FatalError, match="the device is lost"):
            await asyncio.wait_for(asyncio.shield(running.task), 20)
    assert not place.committed()
    assert place.members() == 0, "it left the group"


async def test_a_second_worker_takes_over_partitions_and_together_they_miss_nothing(place: Place) -> None:
    first, second = RecordingStages(seconds=0.01), RecordingStages(seconds=0.01)
    place.produce(numbered(400))
    async with working(place, first):
        await eventually(lambda: len(first.written) > 20)
        async with working(place, second):
            place.produce(numbered(400, 400))
            await eventually(lambda: sum(place.committed().values()) == 800, timeout_s=60)
    seen = {int(r.value or b"") for r in (*first.written, *second.written)}
    assert seen == set(range(800))
    assert second.written


async def test_a_broker_that_is_away_is_a_sentence() -> None:
    place = Place(KafkaConfig("127.0.0.1:1", group="g"), TopicConfig())
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        async with working(place, RecordingStages()):
            pass


async def test_sigterm_drains_commits_and_exits_with_0(place: Place) -> None:
    place.produce(numbered(50))
    async with child(place, "steady") as process:
        await eventually(lambda: sum(place.committed().values()) > 0)
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    written = json.loads(output.splitlines()[-1])
    assert sum(place.committed().values()) == len(written) == len(set(map(tuple, written)))
    assert place.members() == 0


async def test_a_fatal_error_exits_with_1_and_its_sentence(place: Place) -> None:
    place.produce(numbered(5))
    async with child(place, "fatal") as process:
        _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert b"the device is lost" in errors
    assert b"Traceback" not in errors


async def test_kill_9_loses_nothing_and_a_named_worker_is_back_at_once(broker: str) -> None:
    place = new_place(broker)
    named = replace(place, kafka=replace(place.kafka, member="worker-0"))
    place.produce(numbered(200))
    async with child(named, "steady") as process:
        await eventually(lambda: sum(place.committed().values()) > 0)
        process.kill()
        await process.communicate()
    committed = place.committed()
    stages = RecordingStages()
    async with working(named, stages):
        await eventually(lambda: sum(place.committed().values()) == 200, timeout_s=8)
    read_again = {(r.partition, r.offset) for r in stages.written}
    ends = place.committed()
    assert {(p, o) for p in ends for o in range(committed.get(p, 0), ends[p])} <= read_again
