"""The workers of a simulation, and the faults that they suffer."""

from __future__ import annotations

import asyncio

from tests.simulation.schedule import SERVICES, Fault
from tests.simulation.worker import Shared, SimWorker

RESTART_S = 0.2


class Workers:
    """All workers that ever ran. If one dies, another replaces it sooner or later."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._all: list[SimWorker] = []

    @property
    def alive(self) -> list[SimWorker]:
        return [worker for worker in self._all if worker.alive]

    def start(self) -> None:
        later = asyncio.get_running_loop().call_later
        worker = SimWorker(self._shared, on_fatal=lambda: later(RESTART_S, self.start))
        self._all.append(worker)
        worker.start()

    async def suffer(self, fault: Fault) -> None:
        """Waits for the fault's time, injects the fault, and ends it."""
        await asyncio.sleep(fault.at)
        now, injector = asyncio.get_running_loop().time(), self._shared.injector
        injector.seen[fault.kind] += 1
        match fault.kind:
            case "outage":
                injector.outages[SERVICES[fault.which % len(SERVICES)]] = now + fault.seconds
            case "fatal":
                injector.fatal[SERVICES[fault.which % 2]] = now + fault.seconds
            case "rebalance":
                self._shared.broker.rebalance()
            case "join":
                self.start()
            case _ if alive := self.alive:
                await self._inject_into(alive[fault.which % len(alive)], fault)

    async def _inject_into(self, worker: SimWorker, fault: Fault) -> None:
        match fault.kind:
            case "pause":
                worker.connections.paused_until = asyncio.get_running_loop().time() + fault.seconds
            case "crash":
                worker.crash()
                await asyncio.sleep(fault.seconds)
                self.start()
            case "leave":
                await worker.leave(fault.seconds)
                self.start()
            case "zombie" | "lapse":
                await self._expire(worker, fault)

    async def _expire(self, worker: SimWorker, fault: Fault) -> None:
        """The group reassigns its partitions while the worker continues. Then it dies, or notices and joins again."""
        self._shared.broker.leave(worker.consumer)
        if not self._shared.broker.members:
            self.start()
        await asyncio.sleep(fault.seconds)
        if not worker.alive:
            return
        if fault.kind == "lapse":
            self._shared.broker.join(worker.consumer)
        else:
            worker.crash()
