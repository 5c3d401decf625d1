"""The workers of a simulation, and what happens to them."""

from __future__ import annotations

import asyncio

from tests.simulation.schedule import SERVICES, Fault
from tests.simulation.worker import Shared, SimWorker

RESTART_S = 0.2


class Workers:
    """All that ever ran. Where one dies another takes its place, sooner or later."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._all: list[SimWorker] = []

    @property
    def alive(self) -> list[SimWorker]:
        return [worker for worker in self._all if worker.alive]

    def start(self) -> None:
        later = asyncio.get_running_loop().call_later
        worker = SimWorker(self._shared, on_hopeless=lambda: later(RESTART_S, self.start))
        self._all.append(worker)
        worker.start()

    async def suffer(self, fault: Fault) -> None:
        """Waits for the fault's moment, lets it happen, and sees it through."""
        await asyncio.sleep(fault.at)
        now, weather = asyncio.get_running_loop().time(), self._shared.weather
        weather.seen[fault.kind] += 1
        match fault.kind:
            case "outage":
                weather.outages[SERVICES[fault.which % len(SERVICES)]] = now + fault.seconds
            case "hopeless":
                weather.hopeless[SERVICES[fault.which % 2]] = now + fault.seconds
            case "rebalance":
                self._shared.broker.rebalance()
            case "join":
                self.start()
            case _ if alive := self.alive:
                await self._befall(alive[fault.which % len(alive)], fault)

    async def _befall(self, worker: SimWorker, fault: Fault) -> None:
        match fault.kind:
            case "pause":
                worker.wire.until = asyncio.get_running_loop().time() + fault.seconds
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
        """The group gives its partitions to others while it goes on; then it dies, or it finds out and joins again."""
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
