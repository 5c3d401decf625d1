"""A worker inside this process, so that what it did can be read off it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from liveshelf.bench.harness.shop import Ends, Shop
from liveshelf.settings import Settings
from liveshelf.wiring.worker import worker_of
from streams.pipeline.pipeline import LaneStats
from streams.worker.worker import Worker

LOOK_EVERY_S = 0.005


@dataclass(frozen=True, slots=True)
class InProcessWorker:
    """What a worker did: `seconds` from its first record on, and what encoder and lanes counted."""

    seconds: float
    forwards: int
    forward_seconds: float
    encoded: int
    tallies: Sequence[LaneStats]

    @property
    def records(self) -> int:
        return sum(tally.records for tally in self.tallies)

    def stage(self, name: str) -> float:
        """Seconds of a stage, summed over the batches of all lanes."""
        return sum(tally.seconds.get(name, 0.0) for tally in self.tallies)


async def run_in_process(shop: Shop, settings: Settings, ends: Ends) -> InProcessWorker:
    """Runs a worker with these settings, whose group is new, over the live topic up to these ends."""
    async with worker_of(settings) as (worker, encoder):
        running = asyncio.create_task(worker.run())
        try:
            seconds = await _applying(worker, running, records=sum(ends.values()))
            await asyncio.to_thread(shop.wait, ends, group=settings.kafka_group_id)
        finally:
            worker.stop()
            await running
        tallies = tuple(lane.stats for lane in worker.lanes)
        return InProcessWorker(seconds, encoder.forwards, encoder.forward_seconds, encoder.encoded, tallies)


async def _applying(worker: Worker, running: asyncio.Task[None], *, records: int) -> float:
    """Seconds from the first record taken until so many are acknowledged; looked at every few milliseconds."""
    started = None
    while sum(lane.stats.records for lane in worker.lanes) < records:
        if running.done():
            running.result()
        if started is None and any(lane.received for lane in worker.lanes):
            started = time.perf_counter()
        await asyncio.sleep(LOOK_EVERY_S)
    return time.perf_counter() - (started or time.perf_counter())
