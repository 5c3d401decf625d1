"""A worker on a real broker that makes no progress although there is work."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from kafka import KafkaProducer

from streams.config import StallPolicy
from streams.pipeline.delivery import Delivery
from streams.pipeline.pipeline import Pipeline
from streams.worker.watchdog import Stalled
from streams.worker.worker import Worker
from tests.integration.streaming import POLICY, Place, child, eventually, new_place, working
from tests.streams.stages import Batch, RecordingStages

STRICT = replace(POLICY, stall=StallPolicy(seconds=1.5, look_every_s=0.1))
TEN: list[tuple[bytes | None, bytes | None]] = [(b"k%d" % i, b"%d" % i) for i in range(10)]


class Deaf(Pipeline[Batch]):
    """Takes no records and reports nothing, like a lane whose agent died silently."""

    async def put(self, delivery: Delivery) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def place(broker: str) -> Place:
    return new_place(broker)


async def test_records_that_no_agent_hands_over_end_the_worker(place: Place) -> None:
    place.produce(TEN)
    lanes: dict[str, Pipeline[Any]] = {place.topics.live: Deaf(RecordingStages(), lane="live")}
    worker = Worker(place.kafka, lanes, policy=STRICT)
    with pytest.raises(Stalled, match="10 records have waited and no lane received any"):
        await asyncio.wait_for(worker.run(), 30)
    assert worker.must_exit
    assert not place.committed()


async def test_a_stage_that_hangs_ends_the_process_with_1_and_its_sentence(place: Place) -> None:
    place.produce(TEN)
    async with child(place, "hanging") as process:
        _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert b"records have been at encode for" in errors
    assert b"Traceback" not in errors
    assert not place.committed()


async def test_an_idle_worker_and_the_marker_of_a_transaction_are_no_stall(place: Place) -> None:
    """After a transaction the topic ends one offset behind its last record."""
    stages = RecordingStages()
    producer = KafkaProducer(**place.kafka.client_options(), transactional_id=place.kafka.group)
    producer.init_transactions()
    async with working(place, stages, STRICT) as running:
        producer.begin_transaction()
        for key, value in TEN:
            producer.send(place.topics.live, key=key, value=value)
        producer.commit_transaction()
        producer.close()
        await eventually(lambda: len(stages.written) == 10)
        await asyncio.sleep(2 * STRICT.stall.seconds)
        assert not running.task.done()
        assert running.worker.ready
