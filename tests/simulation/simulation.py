"""One schedule played from its first event to the replay of everything, with every promise checked on the way."""

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
from tests.simulation.broker import Broker, Place
from tests.simulation.checks import Broken, check_committed, check_point, check_quarantine, check_shelf
from tests.simulation.faults import Workers
from tests.simulation.loop import SimLoop, Stuck
from tests.simulation.oracle import may_be_encoded
from tests.simulation.schedule import CURSED, LIVE, POISON, Event, Schedule
from tests.simulation.store import Point
from tests.simulation.worker import PRODUCTION, Parts, Shared
from tests.simulation.world import Weather

MAX_STEPS = 300_000
MAX_SECONDS = 300.0  # of simulated time: a lane that was paused comes back after 15 s at the latest


@dataclass(frozen=True, slots=True)
class Played:
    """How a schedule went. `trace` is the same whenever the same schedule is played; `seen` counts what it met."""

    failure: str | None
    seen: Counter[str]
    steps: int
    seconds: float
    trace: str


def play(schedule: Schedule, parts: Parts = PRODUCTION) -> Played:
    """Plays it and says what was broken, if anything was."""
    loop = SimLoop(_chance(schedule, "order") if schedule.setting.shuffled else None, max_steps=MAX_STEPS)
    trace: list[str] = []
    seen: Counter[str] = Counter()
    failure = None
    with _quiet(), _seeded(schedule):
        try:
            loop.run_until_complete(_Simulation(schedule, parts, trace, seen).run())
            if loop.unheard:
                failure = loop.unheard[0]
        except (Broken, Stuck) as error:
            failure = str(error)
        except Exception as error:
            failure = repr(error)
        finally:
            steps = loop.steps
            loop.cancel_all()
    return Played(failure, seen, steps, loop.time(), "\n".join(trace))


class _Simulation:
    def __init__(self, schedule: Schedule, parts: Parts, trace: list[str], seen: Counter[str]) -> None:
        self._schedule = schedule
        self._trace = trace
        setting = schedule.setting
        store = parts.store()
        store.on_write = self._written
        broker = Broker(setting.partitions, _chance(schedule, "broker"), on_commit=self._committed, seen=seen)
        weather = Weather(_chance(schedule, "weather"), setting, seen)
        self._shared = Shared(broker, weather, store, setting, parts)
        self._workers = Workers(self._shared)
        self._broken: Broken | None = None

    async def run(self) -> None:
        events, faults = self._schedule.events, self._schedule.faults
        for _ in range(self._schedule.setting.workers):
            self._workers.start()
        happening = [asyncio.create_task(self._workers.suffer(fault)) for fault in faults]
        happening.append(asyncio.create_task(self._produce(events)))
        await asyncio.sleep(max([0.0, *(e.at for e in events), *(f.at + f.seconds for f in faults)]))
        self._shared.weather.calm = True
        await asyncio.gather(*happening)
        await self._caught_up()
        self._check_everything()
        if self._schedule.setting.repair_s:
            await self._repaired()
        await self._replay()
        await self._put_again()

    async def _repaired(self) -> None:
        """Photos' hosts are well again: with time, and without an event, every photo is had."""
        deadline = asyncio.get_running_loop().time() + MAX_SECONDS
        while waiting := self._without_photo():
            self._check_progress(deadline, f"not repaired: {waiting}")
            await asyncio.sleep(0.5)
        self._shared.weather.seen["repaired"] += len(self._shared.repaired)
        self._check_everything()

    def _without_photo(self) -> list[ProductKey]:
        points = self._shared.store.points.items()
        return [k for k, p in points if p.payload["live"] and p.payload["image_state"] in CAN_HEAL]

    async def _replay(self) -> None:
        """Everything again, by a new worker: it changes nothing, and encodes only what can never be written."""
        for worker in self._workers.alive:
            worker.crash()
        self._shared.broker.committed.clear()
        self._shared.setting = replace(self._shared.setting, max_records=16, depth=4)
        applied, encoded = self._shared.store.applied, len(self._shared.encoded)
        self._workers.start()
        await self._caught_up()
        if self._shared.store.applied != applied:
            raise Broken("a replay of everything changes the index")
        if again := [c for c in self._shared.encoded[encoded:] if c.title not in (POISON, CURSED)]:
            raise Broken(f"a replay of everything encodes {again[0]}")
        self._check_everything()

    async def _put_again(self) -> None:
        """Every product on the shelf put once more, at another price: only photos that were away are encoded."""
        payloads = {key: point.payload for key, point in self._shared.store.points.items() if point.payload["live"]}
        away = {
            Content(payload["title"], tuple(payload["images"]))
            for payload in payloads.values()
            if payload["image_state"] in CAN_HEAL
        }
        encoded = len(self._shared.encoded)
        for key, payload in payloads.items():
            said = {**key._asdict(), "version": 1000, "title": payload["title"], "images": payload["images"]}
            self._shared.broker.append(Event(0.0, LIVE, key_bytes(key), {"op": "put", "offer": {"price": 9}} | said, 0))
        await self._caught_up()
        if (again := set(self._shared.encoded[encoded:])) != away:
            raise Broken(f"putting everything at another price encodes {again}; it should be {away}")
        self._shared.weather.seen["healed"] += len(away)
        self._check_everything()

    async def _produce(self, events: tuple[Event, ...]) -> None:
        loop = asyncio.get_running_loop()
        for event in events:
            await asyncio.sleep(max(0.0, event.at - loop.time()))
            self._shared.broker.append(event)

    async def _caught_up(self) -> None:
        """Waits until everything is committed and nobody has anything in flight."""
        deadline = asyncio.get_running_loop().time() + MAX_SECONDS
        while not self._shared.broker.caught_up or any(worker.in_flight for worker in self._workers.alive):
            self._check_progress(deadline, f"not caught up: {self._shared.broker.committed}")
            await asyncio.sleep(0.05)

    def _check_progress(self, deadline: float, late: str) -> None:
        if self._broken:
            raise self._broken
        if failure := next((f for worker in self._workers.alive if (f := worker.failure)), None):
            raise Broken(f"a worker ended: {failure!r}")
        if asyncio.get_running_loop().time() > deadline:
            raise Broken(f"{MAX_SECONDS:.0f} s after the last fault {late}")

    def _check_everything(self) -> None:
        if self._broken:
            raise self._broken
        shared = self._shared
        check_shelf(shared.store, shared.broker.said.values())
        check_quarantine(shared.broker, self._kept())
        puts = sum(count for at, count in shared.handed_over.items() if may_be_encoded(shared.broker.said[at]))
        if len(shared.encoded) > puts and not self._schedule.setting.unavailable:
            raise Broken(f"{len(shared.encoded)} were encoded for {puts} puts that were read")

    def _kept(self) -> set[tuple[Place, int]]:
        records = [reject.record for reject in self._shared.quarantined]
        return {(Place(r.topic, r.partition), r.offset) for r in records}

    def _committed(self, records: list[Record]) -> None:
        self._trace.append(f"commit {[(r.topic, r.partition, r.offset) for r in records]}")
        self._guard(lambda: check_committed(records, self._shared.broker, self._shared.store, self._kept()))

    def _written(self, key: ProductKey, before: Point | None, after: Point) -> None:
        self._trace.append(f"{asyncio.get_running_loop().time():.6f} {key} {after.payload['revision']}")
        self._guard(lambda: check_point(key, before, after))

    def _guard(self, check: Callable[[], None]) -> None:
        """A check in somebody else's call: what it finds must not look to the caller as if the service failed."""
        try:
            check()
        except Broken as broken:
            self._broken = self._broken or broken


def _chance(schedule: Schedule, of: str) -> random.Random:
    """Random numbers for one purpose, so that a shortened schedule disturbs the others little."""
    return random.Random(f"{schedule.seed} {schedule.salt} {of}")


@contextmanager
def _seeded(schedule: Schedule) -> Iterator[None]:
    """The waits between tries are drawn from the global generator."""
    before = random.getstate()
    random.seed(f"{schedule.seed} {schedule.salt} waits")
    try:
        yield
    finally:
        random.setstate(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Outages are announced, and there are thousands."""
    logs = [logging.getLogger(name) for name in ("streams.pipeline.pipeline", "catalog.ingest.image_retry")]
    before = [log.disabled for log in logs]
    for log in logs:
        log.disabled = True
    try:
        yield
    finally:
        for log, was in zip(logs, before, strict=True):
            log.disabled = was
