"""Plays one schedule, from its first event to a replay of all events, and checks every guarantee."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from catalog.domain.product import Content, ProductKey
from catalog.domain.record import Record
from catalog.events.parser import key_bytes
from catalog.ingest.image_retry import CAN_HEAL
from tests.simulation.broker import Broker, TopicPartition
from tests.simulation.checks import Violation, check_committed, check_index, check_point, check_quarantine
from tests.simulation.faults import Workers
from tests.simulation.loop import SimLoop, Stuck
from tests.simulation.oracle import may_be_encoded
from tests.simulation.schedule import CURSED, LIVE, POISON, Event, Schedule
from tests.simulation.store import Point
from tests.simulation.worker import PRODUCTION, Components, Shared
from tests.simulation.world import FaultInjector

MAX_STEPS = 300_000
MAX_SECONDS = 300.0  # of simulated time: a paused lane resumes after at most 15 s


@dataclass(frozen=True, slots=True)
class Played:
    """The outcome of a schedule. Equal schedules have equal traces; `seen` counts notable occurrences."""

    failure: str | None
    seen: Counter[str]
    steps: int
    seconds: float
    trace: str


def play(schedule: Schedule, components: Components = PRODUCTION) -> Played:
    """Plays a schedule. The result names the violated guarantee, if any."""
    loop = SimLoop(_rng(schedule, "order") if schedule.conditions.shuffled else None, max_steps=MAX_STEPS)
    trace: list[str] = []
    seen: Counter[str] = Counter()
    failure = None
    with _quiet(), _seeded(schedule):
        try:
            loop.run_until_complete(_Simulation(schedule, components, trace, seen).run())
            if loop.unhandled:
                failure = loop.unhandled[0]
        except (Violation, Stuck) as error:
            failure = str(error)
        except Exception as error:
            failure = repr(error)
        finally:
            steps = loop.steps
            loop.cancel_all()
    return Played(failure, seen, steps, loop.time(), "\n".join(trace))


class _Simulation:
    def __init__(self, schedule: Schedule, components: Components, trace: list[str], seen: Counter[str]) -> None:
        self._schedule = schedule
        self._trace = trace
        conditions = schedule.conditions
        store = components.store()
        store.on_write = self._written
        broker = Broker(conditions.partitions, _rng(schedule, "broker"), on_commit=self._committed, seen=seen)
        injector = FaultInjector(_rng(schedule, "weather"), conditions, seen)
        self._shared = Shared(broker, injector, store, conditions, components)
        self._workers = Workers(self._shared)
        self._violation: Violation | None = None

    async def run(self) -> None:
        events, faults = self._schedule.events, self._schedule.faults
        for _ in range(self._schedule.conditions.workers):
            self._workers.start()
        happening = [asyncio.create_task(self._workers.suffer(fault)) for fault in faults]
        happening.append(asyncio.create_task(self._produce(events)))
        await asyncio.sleep(max([0.0, *(e.at for e in events), *(f.at + f.seconds for f in faults)]))
        self._shared.injector.calm = True
        await asyncio.gather(*happening)
        await self._caught_up()
        self._check_everything()
        if self._schedule.conditions.image_retry_delays_s:
            await self._photos_retried()
        await self._replay()
        await self._put_again()

    async def _photos_retried(self) -> None:
        """The photo hosts have recovered: in time, and without an event, every photo is fetched."""
        deadline = asyncio.get_running_loop().time() + MAX_SECONDS
        while waiting := self._without_photo():
            self._check_progress(deadline, f"photos not retried: {waiting}")
            await asyncio.sleep(0.5)
        self._shared.injector.seen["photo retried"] += len(self._shared.retried)
        self._check_everything()

    def _without_photo(self) -> list[ProductKey]:
        points = self._shared.store.points.items()
        return [k for k, p in points if p.payload["live"] and p.payload["image_state"] in CAN_HEAL]

    async def _replay(self) -> None:
        """A new worker reads all events again: it changes nothing, and encodes only what can never be written."""
        for worker in self._workers.alive:
            worker.crash()
        self._shared.broker.committed.clear()
        self._shared.conditions = replace(self._shared.conditions, max_records=16, depth=4)
        applied, encoded = self._shared.store.applied, len(self._shared.encoded)
        self._workers.start()
        await self._caught_up()
        if self._shared.store.applied != applied:
            raise Violation("a replay of everything changes the index")
        if repeated := [c for c in self._shared.encoded[encoded:] if c.title not in (POISON, CURSED)]:
            raise Violation(f"a replay of everything encodes {repeated[0]}")
        self._check_everything()

    async def _put_again(self) -> None:
        """Puts every live product again at another price: only products with failed photos are encoded."""
        payloads = {key: point.payload for key, point in self._shared.store.points.items() if point.payload["live"]}
        failed = {
            Content(payload["title"], tuple(payload["images"]))
            for payload in payloads.values()
            if payload["image_state"] in CAN_HEAL
        }
        encoded = len(self._shared.encoded)
        for key, payload in payloads.items():
            body = {**key._asdict(), "version": 1000, "title": payload["title"], "images": payload["images"]}
            self._shared.broker.append(Event(0.0, LIVE, key_bytes(key), {"op": "put", "offer": {"price": 9}} | body, 0))
        await self._caught_up()
        if (encoded_again := set(self._shared.encoded[encoded:])) != failed:
            raise Violation(f"putting everything at another price encodes {encoded_again}; it should be {failed}")
        self._shared.injector.seen["healed"] += len(failed)
        self._check_everything()

    async def _produce(self, events: tuple[Event, ...]) -> None:
        loop = asyncio.get_running_loop()
        for event in events:
            await asyncio.sleep(max(0.0, event.at - loop.time()))
            self._shared.broker.append(event)

    async def _caught_up(self) -> None:
        """Waits until all records are committed and no worker has a batch in flight."""
        deadline = asyncio.get_running_loop().time() + MAX_SECONDS
        while not self._shared.broker.caught_up or any(worker.in_flight for worker in self._workers.alive):
            self._check_progress(deadline, f"not caught up: {self._shared.broker.committed}")
            await asyncio.sleep(0.05)

    def _check_progress(self, deadline: float, late: str) -> None:
        if self._violation:
            raise self._violation
        if failure := next((f for worker in self._workers.alive if (f := worker.failure)), None):
            raise Violation(f"a worker ended: {failure!r}")
        if asyncio.get_running_loop().time() > deadline:
            raise Violation(f"{MAX_SECONDS:.0f} s after the last fault {late}")

    def _check_everything(self) -> None:
        if self._violation:
            raise self._violation
        shared = self._shared
        check_index(shared.store, shared.broker.events.values())
        check_quarantine(shared.broker, self._quarantined())
        puts = sum(
            count for position, count in shared.handed_over.items() if may_be_encoded(shared.broker.events[position])
        )
        if len(shared.encoded) > puts and not self._schedule.conditions.unavailable:
            raise Violation(f"{len(shared.encoded)} were encoded for {puts} puts that were read")

    def _quarantined(self) -> set[tuple[TopicPartition, int]]:
        records = [reject.record for reject in self._shared.quarantined]
        return {(TopicPartition(r.topic, r.partition), r.offset) for r in records}

    def _committed(self, records: list[Record]) -> None:
        self._trace.append(f"commit {[(r.topic, r.partition, r.offset) for r in records]}")
        self._guard(lambda: check_committed(records, self._shared.broker, self._shared.store, self._quarantined()))

    def _written(self, key: ProductKey, before: Point | None, after: Point) -> None:
        self._trace.append(f"{asyncio.get_running_loop().time():.6f} {key} {after.payload['revision']}")
        self._guard(lambda: check_point(key, before, after))

    def _guard(self, check: Callable[[], None]) -> None:
        """Runs a check inside a service call: a violation must not look like a failure of the service to the caller."""
        try:
            check()
        except Violation as violation:
            self._violation = self._violation or violation


def _rng(schedule: Schedule, purpose: str) -> random.Random:
    """Random numbers for one purpose, so that a shortened schedule disturbs the others little."""
    return random.Random(f"{schedule.seed} {schedule.salt} {purpose}")


@contextmanager
def _seeded(schedule: Schedule) -> Iterator[None]:
    """The delays between attempts come from the global random generator."""
    before = random.getstate()
    random.seed(f"{schedule.seed} {schedule.salt} waits")
    try:
        yield
    finally:
        random.setstate(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses the log messages of thousands of outages."""
    logs = [logging.getLogger(name) for name in ("streams.pipeline.pipeline", "catalog.ingest.image_retry")]
    before = [log.disabled for log in logs]
    for log in logs:
        log.disabled = True
    try:
        yield
    finally:
        for log, was in zip(logs, before, strict=True):
            log.disabled = was
