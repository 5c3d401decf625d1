"""A worker on the real broker, with topics and a group for each test."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import RetriableError

from streams.config import BatchPolicy, KafkaConfig, OutageRetryPolicy, TopicConfig, WorkerPolicy
from streams.pipeline.pipeline import Pipeline
from streams.topics import create_topics
from streams.worker.worker import Worker
from tests.streams.stages import Batch, RecordingStages

ROOT = Path(__file__).parents[2]
POLICY = WorkerPolicy(
    batch=BatchPolicy(max_records=8, within_s=0.01),
    retry=OutageRetryPolicy(initial_s=0.01, max_s=0.05),
    commit_every_s=0.2,
    drain_s=5,
)


@dataclass(frozen=True)
class Place:
    """The group and the topics of one test on the shared broker."""

    kafka: KafkaConfig
    topics: TopicConfig

    def produce(self, messages: list[tuple[bytes | None, bytes | None]], *, partition: int | None = None) -> None:
        """Sends messages, given as key and value, to the live topic."""
        producer = KafkaProducer(**self.kafka.client_options())
        for key, value in messages:
            producer.send(self.topics.live, key=key, value=value, partition=partition)
        producer.flush(timeout=20)
        producer.close()

    def committed(self, topic: str | None = None) -> Mapping[int, int]:
        """The committed offsets of the group, by partition."""
        with KafkaAdminClient(**self.kafka.client_options()) as client:
            try:
                offsets = client.list_group_offsets({self.kafka.group: None})[self.kafka.group]
            except RetriableError:  # a new broker has not found the group's coordinator yet
                return {}
        return {
            key.partition: value.offset for key, value in offsets.items() if key.topic == (topic or self.topics.live)
        }

    def members(self) -> int:
        """The number of consumers in the group."""
        with KafkaAdminClient(**self.kafka.client_options()) as client:
            return len(client.describe_groups([self.kafka.group])[self.kafka.group]["members"])


def new_place(bootstrap: str, *, partitions: int = 3, create: bool = True) -> Place:
    """A new group with new topics."""
    name = uuid4().hex[:12]
    topics = TopicConfig(live=f"l-{name}", backfill=f"b-{name}", quarantine=f"q-{name}", partitions=partitions)
    place = Place(KafkaConfig(bootstrap, group=f"g-{name}"), topics)
    if create:
        create_topics(place.kafka, topics)
    return place


@dataclass
class Running:
    """A worker that runs in this event loop."""

    worker: Worker
    task: asyncio.Task[None]

    async def stop(self) -> None:
        """Stops it as SIGTERM does."""
        self.worker.stop()
        await asyncio.wait_for(self.task, 30)


@asynccontextmanager
async def working(place: Place, stages: RecordingStages, policy: WorkerPolicy = POLICY) -> AsyncIterator[Running]:
    """A worker that is ready; stopped at the end if it still runs."""
    ready = asyncio.Event()
    lanes: dict[str, Pipeline[Batch]] = {
        place.topics.live: Pipeline(stages, lane="live", batch=policy.batch, retry=policy.retry),
        place.topics.backfill: Pipeline(stages, lane="backfill", batch=policy.batch, retry=policy.retry),
    }
    worker = Worker(place.kafka, lanes, policy=policy, on_ready=ready.set)
    task = asyncio.create_task(worker.run())
    running = Running(worker, task)
    waiting = asyncio.create_task(ready.wait())
    done, _ = await asyncio.wait({task, waiting}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task in done:
        task.result()
    assert done, "the worker was not ready in 30 s"
    try:
        yield running
    finally:
        if not task.done():
            await running.stop()


@asynccontextmanager
async def child(place: Place, behaviour: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The worker of `streaming_child` in a process that does not outlive the test."""
    names = [place.kafka.bootstrap, place.kafka.group, place.kafka.member or "", place.topics.live, behaviour]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.streaming_child",
        *names,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def eventually(holds: Callable[[], bool], *, timeout_s: float = 20) -> None:
    """Waits until a condition, called at intervals in a thread, is true."""

    def wait() -> None:
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
            time.sleep(0.05)

    await asyncio.to_thread(wait)
