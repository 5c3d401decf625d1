"""The stages of successive batches, overlapping; acknowledged strictly in the order the records came.

    put ─► Intake ─► plan ─► prepare ─► encode ─► write ─► acknowledge

One task a stage and a queue of one batch between two, first in first out. So batches finish in the order they were
gathered, and no record is acknowledged before every record that came before it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from catalog.errors import Unavailable
from catalog.record import Record
from streams.intake import Intake
from streams.policy import BatchPolicy, RetryPolicy
from streams.records import Delivery
from streams.retry import until_served

log = logging.getLogger(__name__)

B = TypeVar("B")


class Stages(Protocol[B]):
    """What happens to a batch, stage by stage. Raises only Unavailable (try again) and Hopeless (stop the worker)."""

    async def plan(self, records: Sequence[Record]) -> B: ...

    async def prepare(self, batch: B) -> None: ...

    async def encode(self, batch: B) -> None: ...

    async def write(self, batch: B) -> None: ...


@dataclass(frozen=True, slots=True)
class Passage:
    """A batch that is through: how many records, and the seconds each stage took, waits for an outage included."""

    lane: str
    records: tuple[Record, ...]
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the oldest batch in flight is, and for how many seconds it has given no sign of life."""

    stage: str
    seconds: float
    records: int


@dataclass(slots=True)
class _Flight(Generic[B]):
    deliveries: list[Delivery]
    stage: str
    since: float
    batch: B | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def records(self) -> tuple[Record, ...]:
        return tuple(delivery.record for delivery in self.deliveries)


_Queue = asyncio.Queue[_Flight[B] | None]
_Step = Callable[[_Flight[B]], Awaitable[None]]


class Pipeline(Generic[B]):
    """One lane. `put` records, `run` it in a task, `close` it to let what is in flight finish."""

    def __init__(
        self,
        stages: Stages[B],
        *,
        lane: str,
        batch: BatchPolicy = BatchPolicy(),  # noqa: B008 -- frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 -- frozen
        observe: Callable[[Passage], None] = lambda passage: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lane = lane
        self.taken = 0
        self._stages = stages
        self._retry = retry
        self._observe = observe
        self._clock = clock
        self._intake: Intake[Delivery] = Intake(batch)
        self._slots = asyncio.Semaphore(batch.depth)
        self._in_flight: list[_Flight[B]] = []
        self._troubles: dict[str, Unavailable] = {}

    @property
    def in_flight(self) -> int:
        """Records gathered and not yet acknowledged."""
        return sum(len(flight.deliveries) for flight in self._in_flight)

    @property
    def trouble(self) -> Unavailable | None:
        """Why the lane stands still, None where it does not."""
        return next(iter(self._troubles.values()), None)

    @property
    def standing(self) -> Standing | None:
        """How the oldest batch in flight gets on, None where nothing is in flight.

        A sign of life is a stage that begins or ends, and a try that fails because a service is away.
        """
        if not self._in_flight:
            return None
        oldest = self._in_flight[0]
        return Standing(oldest.stage, self._clock() - oldest.since, len(oldest.deliveries))

    async def put(self, delivery: Delivery) -> None:
        """Hands over a record; waits while the lane is full, and for ever once it is closed."""
        await self._intake.put(delivery)
        self.taken += 1

    def close(self) -> None:
        """Takes nothing more. What is in flight finishes, then `run` returns; the rest stays unacknowledged."""
        self._intake.close()

    async def run(self) -> None:
        """Works until closed and empty. Raises Hopeless, or whatever else a stage should not have raised."""
        steps: dict[str, _Step[B]] = {
            "plan": self._plan,
            "prepare": lambda flight: self._stages.prepare(_planned(flight)),
            "encode": lambda flight: self._stages.encode(_planned(flight)),
            "write": lambda flight: self._stages.write(_planned(flight)),
        }
        queues: list[_Queue[B]] = [asyncio.Queue(maxsize=1) for _ in range(len(steps) + 1)]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._gather(queues[0]))
                for (stage, step), inbox, outbox in zip(steps.items(), queues, queues[1:], strict=False):
                    group.create_task(self._work(stage, step, inbox, outbox))
                group.create_task(self._finish(queues[-1]))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _gather(self, outbox: _Queue[B]) -> None:
        await self._slots.acquire()
        while deliveries := await self._intake.batch():
            flight = _Flight[B](deliveries, "intake", self._clock())
            self._in_flight.append(flight)
            self._intake.idle(False)
            await outbox.put(flight)
            await self._slots.acquire()
        await outbox.put(None)

    async def _plan(self, flight: _Flight[B]) -> None:
        flight.batch = await self._stages.plan(flight.records)

    async def _work(self, stage: str, step: _Step[B], inbox: _Queue[B], outbox: _Queue[B]) -> None:
        while (flight := await inbox.get()) is not None:
            started = flight.since = self._clock()
            flight.stage = stage
            await self._insist(stage, step, flight)
            flight.since = self._clock()
            flight.seconds[stage] = flight.since - started
            await outbox.put(flight)
        await outbox.put(None)

    async def _insist(self, stage: str, step: _Step[B], flight: _Flight[B]) -> None:
        def failed(error: Unavailable) -> None:
            if stage not in self._troubles:
                log.warning("The %s lane pauses at %s until it can go on: %s", self.lane, stage, error)
            self._troubles[stage] = error
            flight.since = self._clock()

        await until_served(lambda: step(flight), self._retry, on_failure=failed)
        if self._troubles.pop(stage, None):
            log.info("The %s lane goes on at %s.", self.lane, stage)

    async def _finish(self, inbox: _Queue[B]) -> None:
        while (flight := await inbox.get()) is not None:
            flight.stage = "acknowledge"
            for delivery in flight.deliveries:
                await delivery.ack()
            self._in_flight.remove(flight)
            self._slots.release()
            self._intake.idle(not self._in_flight)
            self._observe(Passage(self.lane, flight.records, flight.seconds))


def _planned(flight: _Flight[B]) -> B:
    assert flight.batch is not None  # noqa: S101 -- every batch passes `plan` first
    return flight.batch
