"""Injects faults into the processes of a shop and heals them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from time import monotonic

from tests.chaos.processes import Processes, Worker
from tests.chaos.quarantine import QuarantineRecords
from tests.chaos.schedule import Fault, FaultKind

CUT_EVERY_S = 0.2
MAX_WORKERS = 4


class Faults:
    """Faults of the processes of one shop. Broker and engine have one fault at a time."""

    def __init__(self, processes: Processes, quarantine: QuarantineRecords) -> None:
        self._processes = processes
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
            "engine slow": lambda f: self._call_faults(f, slow=1.0),
            "engine fails before": lambda f: self._call_faults(f, before=0.6),
            "engine fails after": lambda f: self._call_faults(f, after=0.6),
            "engine cut off": self._cut_off,
            "quarantine gone": self._quarantine_gone,
        }

    async def inject(self, fault: Fault) -> None:
        """Injects a fault at its time; the fault is healed when this returns."""
        await asyncio.sleep(fault.at)
        await self._kinds[fault.kind](fault)

    def _pick(self, fault: Fault) -> Worker:
        return self._processes.workers[fault.which % len(self._processes.workers)]

    async def _worker_killed(self, fault: Fault) -> None:
        worker = self._pick(fault)
        worker.signal(signal.SIGKILL)
        await asyncio.sleep(fault.seconds)

    async def _worker_stopped(self, fault: Fault) -> None:
        worker = self._pick(fault)
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(fault.seconds)
        worker.signal(signal.SIGCONT)

    async def _worker_leaves(self, fault: Fault) -> None:
        running = [w for w in self._processes.workers if not w.stopped and w.code is None]
        if len(running) > 1:
            await self._processes.leave(running[fault.which % len(running)])
            await asyncio.sleep(fault.seconds)

    async def _worker_joins(self, fault: Fault) -> None:
        if len(self._processes.workers) < MAX_WORKERS:
            self._processes.join()

    async def _broker_down(self, fault: Fault, *, kill: bool) -> None:
        async with self._broker:
            await self._processes.break_broker(kill=kill, away_s=fault.seconds)

    async def _broker_stopped(self, fault: Fault) -> None:
        async with self._broker:
            await self._processes.freeze(self._processes.broker.pid, fault.seconds)

    async def _engine_down(self, *, kill: bool, away_s: float) -> None:
        async with self._engine:
            await self._processes.break_engine(kill=kill, away_s=away_s)

    async def _engine_stopped(self, fault: Fault) -> None:
        async with self._engine:
            await self._processes.freeze(self._processes.engine.pid, fault.seconds)

    async def _call_faults(self, fault: Fault, **faults: float) -> None:
        with self._processes.call_faults.during(**faults):
            await asyncio.sleep(fault.seconds)

    async def _cut_off(self, fault: Fault) -> None:
        deadline = monotonic() + fault.seconds
        while monotonic() < deadline:
            self._processes.tcp_proxy.cut()
            await asyncio.sleep(CUT_EVERY_S * self._processes.call_faults.chance.random())

    async def _quarantine_gone(self, fault: Fault) -> None:
        # During an outage the broker could neither delete nor create the topic.
        async with self._broker:
            await asyncio.to_thread(self._quarantine.remove)
            await asyncio.sleep(fault.seconds)
            await asyncio.to_thread(self._quarantine.make)
