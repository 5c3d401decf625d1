"""Runs successive batches through their stages, overlapping, and writes and acknowledges them in arrival order.

    put ─► Batcher ─► plan ─► prepare ─► encode ─► (wait until oldest) ─► write ─► acknowledge

Each batch in flight has a task of its own. Batches are read and encoded concurrently; a batch is written after the one
before it is acknowledged. The stages may repeat earlier ones: if the index changed meanwhile, `write` plans and encodes
again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from catalog.domain.record import Record
from catalog.errors import Unavailable
from streams.config import BatchPolicy, OutageRetryPolicy
from streams.pipeline.batcher import Batcher
from streams.pipeline.delivery import Delivery
from streams.pipeline.retry import retry_until_available

log = logging.getLogger(__name__)

B = TypeVar("B")


class Stages(Protocol[B]):
    """The stages of a batch. They raise only Unavailable, which is retried, and FatalError, which stops the worker."""

    async def plan(self, records: Sequence[Record]) -> B: ...

    async def prepare(self, batch: B) -> None: ...

    async def encode(self, batch: B) -> None: ...

    async def write(self, batch: B) -> None: ...


@dataclass(frozen=True, slots=True)
class BatchReport:
    """A batch that is acknowledged: its records, and the seconds of each stage, waits for an outage included.

    "turn" is the wait for the batches before it.
    """

    lane: str
    records: tuple[Record, ...]
    seconds: dict[str, float]


@dataclass(slots=True)
class LaneStats:
    """Totals of a lane since its start. `seconds` by stage are summed over batches, which overlap."""

    batches: int = 0
    records: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, report: BatchReport) -> None:
        self.batches += 1
        self.records += len(report.records)
        for stage, seconds in report.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


@dataclass(frozen=True, slots=True)
class StageProgress:
    """The stage of the oldest batch in flight, and the seconds since its last sign of life."""

    stage: str
    seconds: float
    records: int


@dataclass(slots=True)
class _BatchInFlight(Generic[B]):
    deliveries: list[Delivery]
    stage: str
    since: float
    batch: B | None = None
    is_oldest: asyncio.Event = field(default_factory=asyncio.Event)
    outage: Unavailable | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def records(self) -> tuple[Record, ...]:
        return tuple(delivery.record for delivery in self.deliveries)


_Step = Callable[[_BatchInFlight[B]], Awaitable[None]]


class Pipeline(Generic[B]):
    """One lane. `put` records, `run` it in a task, `close` it to let what is in flight finish."""

    def __init__(
        self,
        stages: Stages[B],
        *,
        lane: str,
        batch: BatchPolicy = BatchPolicy(),  # noqa: B008 -- frozen
        retry: OutageRetryPolicy = OutageRetryPolicy(),  # noqa: B008 -- frozen
        observe: Callable[[BatchReport], None] = lambda report: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lane = lane
        self.received = 0
        self.stats = LaneStats()
        self._stages = stages
        self._retry = retry
        self._observe = observe
        self._clock = clock
        self._batcher: Batcher[Delivery] = Batcher(batch)
        self._slots = asyncio.Semaphore(batch.depth)
        self._in_flight: list[_BatchInFlight[B]] = []

    @property
    def in_flight(self) -> int:
        """Number of records in batches that are not acknowledged yet."""
        return sum(len(flight.deliveries) for flight in self._in_flight)

    @property
    def outage(self) -> Unavailable | None:
        """The error that a batch in flight is waiting out, None if there is none."""
        return next((flight.outage for flight in self._in_flight if flight.outage), None)

    @property
    def progress(self) -> StageProgress | None:
        """Progress of the oldest batch in flight, None if nothing is in flight.

        A sign of life is a stage that begins or ends, or a try that fails because a service is unavailable.
        """
        if not self._in_flight:
            return None
        oldest = self._in_flight[0]
        return StageProgress(oldest.stage, self._clock() - oldest.since, len(oldest.deliveries))

    async def put(self, delivery: Delivery) -> None:
        """Takes a record. Waits while the lane is full, and for ever after `close`."""
        await self._batcher.put(delivery)
        self.received += 1

    def close(self) -> None:
        """Takes nothing more. Batches in flight finish, then `run` returns; other records stay unacknowledged."""
        self._batcher.close()

    async def run(self) -> None:
        """Works until closed and empty. Raises FatalError, or any other error that a stage raised by mistake.

        A batch holds one of `depth` slots until it is acknowledged, so no more batches are in flight.
        """
        try:
            async with asyncio.TaskGroup() as group:
                await self._slots.acquire()
                while deliveries := await self._batcher.batch():
                    flight = _BatchInFlight[B](deliveries, "batching", self._clock())
                    self._in_flight.append(flight)
                    self._batcher.set_idle(False)
                    group.create_task(self._pass(flight))
                    await self._slots.acquire()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _pass(self, flight: _BatchInFlight[B]) -> None:
        await self._retrying("plan", self._plan, flight)
        await self._retrying("prepare", lambda f: self._stages.prepare(_planned(f)), flight)
        await self._retrying("encode", lambda f: self._stages.encode(_planned(f)), flight)
        encoded_at = self._clock()
        await self._wait_until_oldest(flight)
        flight.seconds["turn"] = self._clock() - encoded_at
        await self._retrying("write", lambda f: self._stages.write(_planned(f)), flight)
        await self._acknowledge(flight)

    async def _plan(self, flight: _BatchInFlight[B]) -> None:
        flight.batch = await self._stages.plan(flight.records)

    async def _wait_until_oldest(self, flight: _BatchInFlight[B]) -> None:
        if flight is not self._in_flight[0]:
            await flight.is_oldest.wait()

    async def _retrying(self, stage: str, step: _Step[B], flight: _BatchInFlight[B]) -> None:
        def on_failure(error: Unavailable) -> None:
            if self.outage is None:
                log.warning("The %s lane pauses at %s until it can go on: %s", self.lane, stage, error)
            flight.outage = error
            flight.since = self._clock()

        started = flight.since = self._clock()
        flight.stage = stage
        await retry_until_available(lambda: step(flight), self._retry, on_failure=on_failure)
        flight.since = self._clock()
        flight.seconds[stage] = flight.since - started
        if flight.outage:
            flight.outage = None
            if self.outage is None:
                log.info("The %s lane goes on at %s.", self.lane, stage)

    async def _acknowledge(self, flight: _BatchInFlight[B]) -> None:
        flight.stage = "acknowledge"
        for delivery in flight.deliveries:
            await delivery.ack()
        self._in_flight.remove(flight)
        if self._in_flight:
            following = self._in_flight[0]
            following.since = self._clock()
            following.is_oldest.set()
        self._slots.release()
        self._batcher.observe_duration(len(flight.deliveries), sum(flight.seconds.values()))
        self._batcher.set_idle(not self._in_flight)
        report = BatchReport(self.lane, flight.records, flight.seconds)
        self.stats.add(report)
        self._observe(report)
        if log.isEnabledFor(logging.DEBUG):
            stages = ", ".join(f"{stage} {1000 * seconds:.0f} ms" for stage, seconds in flight.seconds.items())
            log.debug("%s: %d records, %s", self.lane, len(flight.deliveries), stages)


def _planned(flight: _BatchInFlight[B]) -> B:
    assert flight.batch is not None  # noqa: S101 -- every batch passes `plan` first
    return flight.batch
