"""The stages of successive batches, overlapping; written and acknowledged strictly in the order the records came.

    put ─► Batcher ─► plan ─► prepare ─► encode ─► (its turn) ─► write ─► acknowledge

Each batch in flight has a task of its own. What reads and computes does so beside the others, as their services allow;
a batch is written when the one before it is acknowledged.
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
    """What happens to a batch, stage by stage. Raises only Unavailable (try again) and Hopeless (stop the worker)."""

    async def plan(self, records: Sequence[Record]) -> B: ...

    async def prepare(self, batch: B) -> None: ...

    async def encode(self, batch: B) -> None: ...

    async def write(self, batch: B) -> None: ...


@dataclass(frozen=True, slots=True)
class BatchReport:
    """A batch that is through: how many records, and the seconds each stage took, waits for an outage included.

    "turn" is the wait for the batches before it.
    """

    lane: str
    records: tuple[Record, ...]
    seconds: dict[str, float]


@dataclass(slots=True)
class LaneStats:
    """What a lane has passed since it began. `seconds` by stage are summed over batches, which overlap."""

    batches: int = 0
    records: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, passage: BatchReport) -> None:
        self.batches += 1
        self.records += len(passage.records)
        for stage, seconds in passage.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


@dataclass(frozen=True, slots=True)
class StageProgress:
    """Where the oldest batch in flight is, and for how many seconds it has given no sign of life."""

    stage: str
    seconds: float
    records: int


@dataclass(slots=True)
class _BatchInFlight(Generic[B]):
    deliveries: list[Delivery]
    stage: str
    since: float
    batch: B | None = None
    first: asyncio.Event = field(default_factory=asyncio.Event)
    trouble: Unavailable | None = None
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
        observe: Callable[[BatchReport], None] = lambda passage: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lane = lane
        self.taken = 0
        self.tally = LaneStats()
        self._stages = stages
        self._retry = retry
        self._observe = observe
        self._clock = clock
        self._intake: Batcher[Delivery] = Batcher(batch)
        self._slots = asyncio.Semaphore(batch.depth)
        self._in_flight: list[_BatchInFlight[B]] = []

    @property
    def in_flight(self) -> int:
        """Records gathered and not yet acknowledged."""
        return sum(len(flight.deliveries) for flight in self._in_flight)

    @property
    def trouble(self) -> Unavailable | None:
        """Why the lane stands still, None where it does not."""
        return next((flight.trouble for flight in self._in_flight if flight.trouble), None)

    @property
    def standing(self) -> StageProgress | None:
        """How the oldest batch in flight gets on, None where nothing is in flight.

        A sign of life is a stage that begins or ends, and a try that fails because a service is away.
        """
        if not self._in_flight:
            return None
        oldest = self._in_flight[0]
        return StageProgress(oldest.stage, self._clock() - oldest.since, len(oldest.deliveries))

    async def put(self, delivery: Delivery) -> None:
        """Hands over a record; waits while the lane is full, and for ever once it is closed."""
        await self._intake.put(delivery)
        self.taken += 1

    def close(self) -> None:
        """Takes nothing more. What is in flight finishes, then `run` returns; the rest stays unacknowledged."""
        self._intake.close()

    async def run(self) -> None:
        """Works until closed and empty. Raises Hopeless, or whatever else a stage should not have raised."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._slots.acquire()
                while deliveries := await self._intake.batch():
                    flight = _BatchInFlight[B](deliveries, "intake", self._clock())
                    self._in_flight.append(flight)
                    self._intake.idle(False)
                    group.create_task(self._pass(flight))
                    await self._slots.acquire()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _pass(self, flight: _BatchInFlight[B]) -> None:
        await self._insist("plan", self._plan, flight)
        await self._insist("prepare", lambda f: self._stages.prepare(_planned(f)), flight)
        await self._insist("encode", lambda f: self._stages.encode(_planned(f)), flight)
        waited = self._clock()
        await self._turn(flight)
        flight.seconds["turn"] = self._clock() - waited
        await self._insist("write", lambda f: self._stages.write(_planned(f)), flight)
        await self._acknowledge(flight)

    async def _plan(self, flight: _BatchInFlight[B]) -> None:
        flight.batch = await self._stages.plan(flight.records)

    async def _turn(self, flight: _BatchInFlight[B]) -> None:
        if flight is not self._in_flight[0]:
            await flight.first.wait()

    async def _insist(self, stage: str, step: _Step[B], flight: _BatchInFlight[B]) -> None:
        def failed(error: Unavailable) -> None:
            if self.trouble is None:
                log.warning("The %s lane pauses at %s until it can go on: %s", self.lane, stage, error)
            flight.trouble = error
            flight.since = self._clock()

        started = flight.since = self._clock()
        flight.stage = stage
        await retry_until_available(lambda: step(flight), self._retry, on_failure=failed)
        flight.since = self._clock()
        flight.seconds[stage] = flight.since - started
        if flight.trouble:
            flight.trouble = None
            if self.trouble is None:
                log.info("The %s lane goes on at %s.", self.lane, stage)

    async def _acknowledge(self, flight: _BatchInFlight[B]) -> None:
        flight.stage = "acknowledge"
        for delivery in flight.deliveries:
            await delivery.ack()
        self._in_flight.remove(flight)
        if self._in_flight:
            following = self._in_flight[0]
            following.since = self._clock()
            following.first.set()
        self._slots.release()
        self._intake.took(len(flight.deliveries), sum(flight.seconds.values()))
        self._intake.idle(not self._in_flight)
        passage = BatchReport(self.lane, flight.records, flight.seconds)
        self.tally.add(passage)
        self._observe(passage)
        if log.isEnabledFor(logging.DEBUG):
            stages = ", ".join(f"{stage} {1000 * seconds:.0f} ms" for stage, seconds in flight.seconds.items())
            log.debug("%s: %d records, %s", self.lane, len(flight.deliveries), stages)


def _planned(flight: _BatchInFlight[B]) -> B:
    assert flight.batch is not None  # noqa: S101 -- every batch passes `plan` first
    return flight.batch
