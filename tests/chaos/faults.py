"""What a fault does to the parts of a shop, and what undoes it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from time import monotonic

from tests.chaos.parts import Parts, Worker
from tests.chaos.quarantine import QuarantineWatch
from tests.chaos.schedule import Fault, FaultKind

CUT_EVERY_S = 0.2
MOST_WORKERS = 4


class Faults:
    """Faults on the parts of one shop. Broker and engine are hurt by one fault at a time."""

    def __init__(self, parts: Parts, quarantine: QuarantineWatch) -> None:
        self._parts = parts
        self._quarantine = quarantine
        self._broker = asyncio.Lock()
        self._engine = asyncio.Lock()
        self._kinds: dict[FaultKind, Callable[[Fault], Awaitable[None]]] = {
            "worker killed": self._worker_killed,
            "worker stopped": self._worker_stopped,
            "worker leaves": self._worker_leaves,
            "worker joins": self._worker_joins,
            "broker killed": lambda f: self._broker_down(f, kill=True),
            "broker restarted": lambda f: self._broker_down(f, kill=False),
            "broker stopped": self._broker_stopped,
            "engine killed": lambda f: self._engine_down(kill=True, away_s=0.0),
            "engine away": lambda f: self._engine_down(kill=True, away_s=f.seconds),
            "engine restarted": lambda f: self._engine_down(kill=False, away_s=0.0),
            "engine stopped": self._engine_stopped,
            "engine slow": lambda f: self._weather(f, slow=1.0),
            "engine fails before": lambda f: self._weather(f, before=0.6),
            "engine fails after": lambda f: self._weather(f, after=0.6),
            "engine cut off": self._cut_off,
            "quarantine gone": self._quarantine_gone,
        }

    async def befall(self, fault: Fault) -> None:
        """At its moment, for as long as it takes; healed when this returns."""
        await asyncio.sleep(fault.at)
        await self._kinds[fault.kind](fault)

    def _some(self, fault: Fault) -> Worker:
        return self._parts.workers[fault.which % len(self._parts.workers)]

    async def _worker_killed(self, fault: Fault) -> None:
        worker = self._some(fault)
        worker.signal(signal.SIGKILL)
        await asyncio.sleep(fault.seconds)

    async def _worker_stopped(self, fault: Fault) -> None:
        worker = self._some(fault)
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(fault.seconds)
        worker.signal(signal.SIGCONT)

    async def _worker_leaves(self, fault: Fault) -> None:
        running = [w for w in self._parts.workers if not w.stopped and w.code is None]
        if len(running) > 1:
            await self._parts.leave(running[fault.which % len(running)])
            await asyncio.sleep(fault.seconds)

    async def _worker_joins(self, fault: Fault) -> None:
        if len(self._parts.workers) < MOST_WORKERS:
            self._parts.join()

    async def _broker_down(self, fault: Fault, *, kill: bool) -> None:
        async with self._broker:
            await self._parts.break_broker(kill=kill, away_s=fault.seconds)

    async def _broker_stopped(self, fault: Fault) -> None:
        async with self._broker:
            await self._parts.freeze(self._parts.broker.pid, fault.seconds)

    async def _engine_down(self, *, kill: bool, away_s: float) -> None:
        async with self._engine:
            await self._parts.break_engine(kill=kill, away_s=away_s)

    async def _engine_stopped(self, fault: Fault) -> None:
        async with self._engine:
            await self._parts.freeze(self._parts.engine.pid, fault.seconds)

    async def _weather(self, fault: Fault, **what: float) -> None:
        with self._parts.weather.during(**what):
            await asyncio.sleep(fault.seconds)

    async def _cut_off(self, fault: Fault) -> None:
        end = monotonic() + fault.seconds
        while monotonic() < end:
            self._parts.wire.cut()
            await asyncio.sleep(CUT_EVERY_S * self._parts.weather.chance.random())

    async def _quarantine_gone(self, fault: Fault) -> None:
        # A broker that is away could neither lose the topic nor be asked for it.
        async with self._broker:
            await asyncio.to_thread(self._quarantine.remove)
            await asyncio.sleep(fault.seconds)
            await asyncio.to_thread(self._quarantine.make)
