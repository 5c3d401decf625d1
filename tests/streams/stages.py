"""Stages that record their calls, and that can be slow or fail on request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from catalog.domain.record import Record
from streams.pipeline.delivery import Delivery

Batch = list[Record]


@dataclass
class RecordingStages:
    """`seconds` is how long each stage takes; `trouble(stage, batch)` may give an error to raise instead."""

    seconds: float = 0.0
    trouble: Callable[[str, Batch], Exception | None] = lambda stage, batch: None
    written: list[Record] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0

    async def plan(self, records: Sequence[Record]) -> Batch:
        batch = list(records)
        await self._pass("plan", batch)
        return batch

    async def prepare(self, batch: Batch) -> None:
        await self._pass("prepare", batch)

    async def encode(self, batch: Batch) -> None:
        await self._pass("encode", batch)

    async def write(self, batch: Batch) -> None:
        await self._pass("write", batch)
        self.written.extend(batch)

    async def _pass(self, stage: str, batch: Batch) -> None:
        self.tried.append(stage)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await asyncio.sleep(self.seconds)
            if error := self.trouble(stage, batch):
                raise error
        finally:
            self.busy -= 1


@dataclass
class Acks:
    """Makes deliveries and remembers the order in which they were acknowledged."""

    done: list[Record] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def reach(self, count: int) -> None:
        """Waits until `count` records are acknowledged."""
        async with asyncio.timeout(10):
            while len(self.done) < count:
                self.more.clear()
                await self.more.wait()

    def delivery(self, offset: int, *, partition: int = 0) -> Delivery:
        record = Record(key=b"k", value=b"%d" % offset, topic="t", partition=partition, offset=offset, timestamp=offset)

        async def ack() -> None:
            self.done.append(record)
            self.more.set()

        return Delivery(record, ack)

    def offsets(self, partition: int = 0) -> list[int]:
        return [record.offset for record in self.done if record.partition == partition]
