"""A simulated worker: the production pipeline on simulated connections, fed as the Faust agents feed it."""

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
from tests.simulation.broker import Broker, Consumer, Place
from tests.simulation.schedule import BACKFILL, CONTRACT, LIVE, Setting
from tests.simulation.store import Store
from tests.simulation.world import SimEncoder, SimIndex, SimQuarantine, SimUnhealed, Weather, Wire


@dataclass(frozen=True)
class Parts:
    """What a worker is made of; a mutant replaces one of them."""

    ingest: type[Ingest] = Ingest
    pipeline: type[Pipeline[IngestBatch]] = Pipeline
    store: Callable[[], Store] = Store
    index: Callable[[Wire, Store], ProductWriter] = SimIndex
    repair: type[ImageRetrier] = ImageRetrier


PRODUCTION = Parts()


@dataclass
class Shared:
    """What all workers of a simulation have in common."""

    broker: Broker
    weather: Weather
    store: Store
    setting: Setting
    parts: Parts
    encoded: list[Content] = field(default_factory=list)
    repaired: list[Content] = field(default_factory=list)
    quarantined: list[Reject] = field(default_factory=list)
    handed_over: Counter[tuple[Place, int]] = field(default_factory=Counter)

    def hand_over(self, record: Record) -> None:
        at = Place(record.topic, record.partition), record.offset
        self.weather.seen["delivered again"] += at in self.handed_over and not self.weather.calm
        self.handed_over[at] += 1


class SimWorker:
    """Start it, then `crash` or `leave`. `on_hopeless` is called when it stops because going on is no use."""

    def __init__(self, shared: Shared, *, on_hopeless: Callable[[], object]) -> None:
        self._shared = shared
        self._on_hopeless = on_hopeless
        self._chance: random.Random = shared.weather.chance
        self.wire = Wire(shared.weather)
        self.consumer = Consumer(shared.broker)
        clock = asyncio.get_running_loop().time
        index = shared.parts.index(self.wire, shared.store)
        repair = ImageRetryPolicy(delays_s=shared.setting.repair_s, every_s=0.1, lease_s=1.0, page=4)
        ingest = shared.parts.ingest(
            index=index,
            encoder=SimEncoder(self.wire, shared.encoded),
            quarantine=SimQuarantine(self.wire, shared.quarantined),
            policy=IngestPolicy(contract=CONTRACT, repair=repair),
            clock=clock,
        )
        self._repair = shared.parts.repair(
            index=index,
            unhealed=SimUnhealed(self.wire, shared.store),
            encoder=SimEncoder(self.wire, shared.repaired),
            policy=repair,
            clock=clock,
            chance=self._chance.random,
        )
        batch = BatchPolicy(max_records=shared.setting.max_records, depth=shared.setting.depth)
        self._lanes = {
            topic: shared.parts.pipeline(ingest, lane=topic, batch=batch, clock=clock) for topic in (LIVE, BACKFILL)
        }
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def alive(self) -> bool:
        return not self.wire.cut

    @property
    def failure(self) -> BaseException | None:
        """What ended a task that should not have ended."""
        if self.wire.cut:
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
        if self._shared.setting.repair_s:
            self._tasks.append(asyncio.create_task(self._run(self._repair.run)))

    def crash(self) -> None:
        """As `kill -9`: from now on nothing that it does is seen by anyone."""
        self.wire.cut = True
        for task in self._tasks:
            task.cancel()
        self._shared.broker.leave(self.consumer)

    async def leave(self, within_s: float) -> None:
        """As SIGTERM: what is in flight is finished if there is time, and committed."""
        (run_live, feed_live, run_other, feed_other, _, *repairing) = self._tasks
        running, feeding = (run_live, run_other), (feed_live, feed_other)
        for task in repairing:
            task.cancel()
        for lane in self._lanes.values():
            lane.close()
        await asyncio.wait(running, timeout=within_s)
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
                self._on_hopeless()

    async def _hand_over(self, topic: str, lane: Pipeline[IngestBatch]) -> None:
        while True:
            record = self.consumer.poll(topic, self._chance)
            if record is None:
                self.consumer.more[topic].clear()
                await self.consumer.more[topic].wait()
                await self.wire.pause()
                continue
            self._shared.hand_over(record)
            await lane.put(Delivery(record, partial(self._ack, record)))

    async def _ack(self, record: Record) -> None:
        if self._chance.random() < 0.2:
            await asyncio.sleep(self._shared.weather.delay())  # a commit, or a crash, may come between two of a batch
        if not self.wire.cut:
            self.consumer.ack(record)

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._shared.setting.commit_every_s)
            await self.wire.pause()
            await self.consumer.commit(self._shared.weather.delay())
