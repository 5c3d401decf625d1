"""One schedule played from its first event to the replay of everything, with every promise checked on the way."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from catalog.product import Key
from catalog.record import Record
from tests.simulation.broker import Broker, Place
from tests.simulation.checks import Broken, check_committed, check_point, check_quarantine, check_shelf
from tests.simulation.loop import SimLoop, Stuck
from tests.simulation.schedule import CURSED, POISON, SERVICES, Fault, Schedule
from tests.simulation.store import Point
from tests.simulation.worker import PRODUCTION, Parts, Shared, SimWorker, is_put
from tests.simulation.world import Weather

MAX_STEPS = 300_000
MAX_SECONDS = 300.0  # of simulated time: a lane that was paused comes back after 15 s at the latest


@dataclass(frozen=True, slots=True)
class Played:
    """How a schedule went. `trace` is the same whenever the same schedule is played."""

    failure: str | None
    steps: int
    seconds: float
    trace: str


def play(schedule: Schedule, parts: Parts = PRODUCTION) -> Played:
    """Plays it and says what was broken, if anything was."""
    loop = SimLoop(_chance(schedule, "order") if schedule.setting.shuffled else None, max_steps=MAX_STEPS)
    trace: list[str] = []
    failure = None
    with _quiet(), _seeded(schedule):
        try:
            loop.run_until_complete(_Simulation(schedule, parts, trace).run())
            if loop.unheard:
                failure = loop.unheard[0]
        except (Broken, Stuck) as error:
            failure = str(error)
        except Exception as error:
            failure = repr(error)
        finally:
            steps = loop.steps
            loop.cancel_all()
    return Played(failure, steps, loop.time(), "\n".join(trace))


class _Simulation:
    def __init__(self, schedule: Schedule, parts: Parts, trace: list[str]) -> None:
        self._schedule = schedule
        self._trace = trace
        weather = Weather(_chance(schedule, "weather"), schedule.setting)
        broker = Broker(schedule.setting.partitions, _chance(schedule, "broker"), self._committed)
        store = parts.store()
        store.on_write = self._written
        self._shared = Shared(broker, weather, store, schedule.setting, parts)
        self._workers: list[SimWorker] = []
        self._broken: Broken | None = None
        self._last = max([0.0, *(e.at for e in schedule.events), *(f.at + f.seconds for f in schedule.faults)])

    async def run(self) -> None:
        for _ in range(self._schedule.setting.workers):
            self._start()
        producing = asyncio.create_task(self._produce())
        going_wrong = [asyncio.create_task(self._go_wrong(fault)) for fault in self._schedule.faults]
        await asyncio.sleep(self._last)
        self._shared.weather.calm = True
        await asyncio.gather(producing, *going_wrong)
        await self._caught_up()
        self._check_everything()
        await self._replay()
        self._check_everything()

    async def _replay(self) -> None:
        """Everything again, by a new worker: it changes nothing, and encodes only what can never be written."""
        for worker in self._workers:
            if worker.alive:
                worker.crash()
        self._workers.clear()
        self._shared.broker.committed.clear()
        self._shared.setting = replace(self._shared.setting, max_records=16, depth=4)
        applied, encoded = self._shared.store.applied, len(self._shared.encoded)
        self._start()
        await self._caught_up()
        if self._shared.store.applied != applied:
            raise Broken("a replay of everything changes the index")
        again = [c for c in self._shared.encoded[encoded:] if c.title not in (POISON, CURSED)]
        if again:
            raise Broken(f"a replay of everything encodes {again[0]}")

    async def _produce(self) -> None:
        loop = asyncio.get_running_loop()
        for event in self._schedule.events:
            await asyncio.sleep(max(0.0, event.at - loop.time()))
            self._shared.broker.append(event)

    async def _go_wrong(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        alive = [worker for worker in self._workers if worker.alive]
        worker = alive[fault.which % len(alive)] if alive else None
        loop = asyncio.get_running_loop()
        self._trace.append(f"{loop.time():.6f} {fault.kind}")
        match fault.kind:
            case "outage":
                service = SERVICES[fault.which % len(SERVICES)]
                self._shared.weather.outages[service] = loop.time() + fault.seconds
            case "rebalance":
                self._shared.broker.rebalance()
            case "join":
                self._start()
            case "pause" if worker:
                worker.wire.until = loop.time() + fault.seconds
            case "crash" if worker:
                worker.crash()
                await asyncio.sleep(fault.seconds)
                self._start()
            case "leave" if worker:
                await worker.leave(fault.seconds)
                self._start()
            case "zombie" | "lapse" if worker:
                await self._expire(worker, fault)

    async def _expire(self, worker: SimWorker, fault: Fault) -> None:
        """The group gives its partitions to others while it goes on; then it dies, or it finds out and joins again."""
        self._shared.broker.leave(worker.consumer)
        if not self._shared.broker.members:
            self._start()
        await asyncio.sleep(fault.seconds)
        if not worker.alive:
            return
        if fault.kind == "lapse":
            self._shared.broker.join(worker.consumer)
        else:
            worker.crash()

    def _start(self) -> None:
        worker = SimWorker(self._shared)
        self._workers.append(worker)
        worker.start()

    async def _caught_up(self) -> None:
        """Waits until everything is committed and nobody has anything in flight."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + MAX_SECONDS
        while not self._shared.broker.caught_up or any(w.alive and w.in_flight for w in self._workers):
            if self._broken:
                raise self._broken
            if failed := next((w.failure for w in self._workers if w.failure), None):
                raise Broken(f"a worker ended: {failed!r}")
            if loop.time() > deadline:
                raise Broken(f"not caught up {MAX_SECONDS:.0f} s after the last fault: {self._shared.broker.committed}")
            await asyncio.sleep(0.05)

    def _check_everything(self) -> None:
        if self._broken:
            raise self._broken
        shared = self._shared
        check_shelf(shared.store, shared.broker.said.values())
        check_quarantine(shared.broker, self._kept())
        puts = sum(is_put(record) for record in shared.handed_over)
        if len(shared.encoded) > puts and not self._schedule.setting.unavailable:
            raise Broken(f"{len(shared.encoded)} encoded of {puts} puts that were read")

    def _kept(self) -> set[tuple[Place, int]]:
        records = [reject.record for reject in self._shared.quarantined]
        return {(Place(r.topic, r.partition), r.offset) for r in records}

    def _committed(self, records: list[Record]) -> None:
        self._trace.append(f"commit {[(r.topic, r.partition, r.offset) for r in records]}")
        self._guard(lambda: check_committed(records, self._shared.broker, self._shared.store, self._kept()))

    def _written(self, key: Key, before: Point | None, after: Point) -> None:
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
    log = logging.getLogger("streams.pipeline")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
