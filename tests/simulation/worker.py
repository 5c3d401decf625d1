"""A simulated worker: the production pipeline on simulated connections, fed as by the Faust agents."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from catalog.domain.product import Content
from catalog.domain.record import Record, Reject
from catalog.errors import FatalError
from catalog.ingest.batch import IngestBatch
from catalog.ingest.image_retry import ImageRetrier, ImageRetryPolicy
from catalog.ingest.ingest import Ingest, IngestPolicy
from catalog.ports import ProductWriter
from streams.config import BatchPolicy
from streams.pipeline.delivery import Delivery
from streams.pipeline.pipeline import Pipeline
from tests.simulation.broker import Broker, Consumer, TopicPartition
from tests.simulation.schedule import BACKFILL, LIVE, PARSER, Conditions
from tests.simulation.store import Store
from tests.simulation.world import Connections, FaultInjector, SimEncoder, SimIndex, SimQuarantine, SimRetryQueue


@dataclass(frozen=True)
class Components:
    """The components of a worker; a mutant replaces one of them."""

    ingest: type[Ingest] = Ingest
    pipeline: type[Pipeline[IngestBatch]] = Pipeline
    store: Callable[[], Store] = Store
    index: Callable[[Connections, Store], ProductWriter] = SimIndex
    image_retrier: type[ImageRetrier] = ImageRetrier


PRODUCTION = Components()


@dataclass
class Shared:
    """The state that all workers of a simulation share."""

    broker: Broker
    injector: FaultInjector
    store: Store
    conditions: Conditions
    components: Components
    encoded: list[Content] = field(default_factory=list)
    retried: list[Content] = field(default_factory=list)
    quarantined: list[Reject] = field(default_factory=list)
    handed_over: Counter[tuple[TopicPartition, int]] = field(default_factory=Counter)

    def hand_over(self, record: Record) -> None:
        position = TopicPartition(record.topic, record.partition), record.offset
        self.injector.seen["delivered again"] += position in self.handed_over and not self.injector.calm
        self.handed_over[position] += 1


class SimWorker:
    """Start it, then `crash` or `leave`. It calls `on_fatal` when it stops because of a FatalError."""

    def __init__(self, shared: Shared, *, on_fatal: Callable[[], object]) -> None:
        self._shared = shared
        self._on_fatal = on_fatal
        self._rng: random.Random = shared.injector.rng
        self.connections = Connections(shared.injector)
        self.consumer = Consumer(shared.broker)
        clock = asyncio.get_running_loop().time
        index = shared.components.index(self.connections, shared.store)
        image_retry = ImageRetryPolicy(
            delays_s=shared.conditions.image_retry_delays_s, poll_interval_s=0.1, lease_s=1.0, page_size=4
        )
        ingest = shared.components.ingest(
            index=index,
            encoder=SimEncoder(self.connections, shared.encoded),
            quarantine=SimQuarantine(self.connections, shared.quarantined),
            policy=IngestPolicy(parser=PARSER, image_retry=image_retry),
            clock=clock,
        )
        self._image_retrier = shared.components.image_retrier(
            index=index,
            retry_queue=SimRetryQueue(self.connections, shared.store),
            encoder=SimEncoder(self.connections, shared.retried),
            policy=image_retry,
            clock=clock,
            uniform=self._rng.random,
        )
        batch = BatchPolicy(max_records=shared.conditions.max_records, depth=shared.conditions.depth)
        self._lanes = {
            topic: shared.components.pipeline(ingest, lane=topic, batch=batch, clock=clock)
            for topic in (LIVE, BACKFILL)
        }
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def alive(self) -> bool:
        return not self.connections.cut

    @property
    def failure(self) -> BaseException | None:
        """What ended a task that should not have ended."""
        if self.connections.cut:
            return None
        ended = [task for task in self._tasks if task.done() and not task.cancelled()]
        return next((e for task in ended if (e := task.exception())), None)

    @property
    def in_flight(self) -> int:
        return sum(lane.in_flight for lane in self._lanes.values())

    def start(self) -> None:
        self._shared.broker.join(self.consumer)
        for topic, lane in self._lanes.items():
            self._tasks.append(asyncio.create_task(self._run(lane.run)))
            self._tasks.append(asyncio.create_task(self._hand_over(topic, lane)))
        self._tasks.append(asyncio.create_task(self._commit_regularly()))
        if self._shared.conditions.image_retry_delays_s:
            self._tasks.append(asyncio.create_task(self._run(self._image_retrier.run)))

    def crash(self) -> None:
        """Like `kill -9`: from now on none of its actions has an effect."""
        self.connections.cut = True
        for task in self._tasks:
            task.cancel()
        self._shared.broker.leave(self.consumer)

    async def leave(self, timeout_s: float) -> None:
        """Like SIGTERM: batches in flight are finished within `timeout_s`, and committed."""
        (run_live, feed_live, run_backfill, feed_backfill, _, *retrying) = self._tasks
        running, feeding = (run_live, run_backfill), (feed_live, feed_backfill)
        for task in retrying:
            task.cancel()
        for lane in self._lanes.values():
            lane.close()
        await asyncio.wait(running, timeout=timeout_s)
        for task in feeding:
            task.cancel()
        await self.consumer.commit(0.0)
        self.crash()

    async def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except FatalError:
            if self.alive:
                self.crash()
                self._on_fatal()

    async def _hand_over(self, topic: str, lane: Pipeline[IngestBatch]) -> None:
        while True:
            record = self.consumer.poll(topic, self._rng)
            if record is None:
                self.consumer.has_records[topic].clear()
                await self.consumer.has_records[topic].wait()
                await self.connections.pause()
                continue
            self._shared.hand_over(record)
            await lane.put(Delivery(record, partial(self._ack, record)))

    async def _ack(self, record: Record) -> None:
        if self._rng.random() < 0.2:
            await asyncio.sleep(self._shared.injector.delay())  # a commit, or a crash, may come between two of a batch
        if not self.connections.cut:
            self.consumer.ack(record)

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._shared.conditions.commit_every_s)
            await self.connections.pause()
            await self.consumer.commit(self._shared.injector.delay())
