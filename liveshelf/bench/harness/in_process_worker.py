"""Runs a worker inside this process and reads its counters."""

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
    """A worker's run: `seconds` since its first record, and the counters of encoder and lanes."""

    seconds: float
    forwards: int
    forward_seconds: float
    encoded: int
    lane_stats: Sequence[LaneStats]

    @property
    def records(self) -> int:
        return sum(stats.records for stats in self.lane_stats)

    def stage(self, name: str) -> float:
        """Seconds of a stage, summed over the batches of all lanes."""
        return sum(stats.seconds.get(name, 0.0) for stats in self.lane_stats)


async def run_in_process(shop: Shop, settings: Settings, ends: Ends) -> InProcessWorker:
    """Runs a worker with these settings over the live topic up to `ends`. Its consumer group must be new."""
    async with worker_of(settings) as (worker, encoder):
        running = asyncio.create_task(worker.run())
        try:
            seconds = await _seconds_to_apply(worker, running, records=sum(ends.values()))
            await asyncio.to_thread(shop.wait, ends, group=settings.kafka_group_id)
        finally:
            worker.stop()
            await running
        lane_stats = tuple(lane.stats for lane in worker.lanes)
        return InProcessWorker(seconds, encoder.forwards, encoder.forward_seconds, encoder.encoded, lane_stats)


async def _seconds_to_apply(worker: Worker, running: asyncio.Task[None], *, records: int) -> float:
    """Seconds from the first received record until `records` are acknowledged, polled every few milliseconds."""
    started = None
    while sum(lane.stats.records for lane in worker.lanes) < records:
        if running.done():
            running.result()
        if started is None and any(lane.received for lane in worker.lanes):
            started = time.perf_counter()
        await asyncio.sleep(LOOK_EVERY_S)
    return time.perf_counter() - (started or time.perf_counter())
