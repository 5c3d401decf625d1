"""A worker inside this process, so that what it did can be read off it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from liveshelf.bench.shop import Ends, Shop
from liveshelf.ingestion import worker_of
from liveshelf.settings import Settings
from streams.pipeline import Tally


@dataclass(frozen=True, slots=True)
class Inside:
    """What a worker did: `seconds` from its first record on, and what encoder and lanes counted."""

    seconds: float
    forwards: int
    forward_seconds: float
    encoded: int
    tallies: Sequence[Tally]

    @property
    def records(self) -> int:
        return sum(tally.records for tally in self.tallies)

    def stage(self, name: str) -> float:
        """Seconds of a stage, summed over the batches of all lanes."""
        return sum(tally.seconds.get(name, 0.0) for tally in self.tallies)


async def run_inside(shop: Shop, settings: Settings, ends: Ends) -> Inside:
    """Runs a worker with these settings until its group has committed up to these ends of the live topic."""
    async with worker_of(settings) as (worker, encoder):
        running = asyncio.create_task(worker.run())
        try:
            while not any(lane.taken for lane in worker.lanes) and not running.done():
                await asyncio.sleep(0.005)
            started = time.perf_counter()
            waiting = asyncio.create_task(asyncio.to_thread(shop.wait, ends, group=settings.group))
            await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            await waiting
            seconds = time.perf_counter() - started
        finally:
            worker.stop()
            await running
        tallies = tuple(lane.tally for lane in worker.lanes)
        return Inside(seconds, encoder.forwards, encoder.forward_seconds, encoder.encoded, tallies)
