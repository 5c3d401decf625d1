"""Topics, a consumer group and committed offsets, with the reads and acknowledgements of a Faust worker."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import NamedTuple

from catalog.domain.record import Record
from tests.simulation.schedule import BACKFILL, LIVE, Event


class TopicPartition(NamedTuple):
    topic: str
    partition: int


class Broker:
    """The logs, and one consumer group whose partitions are reassigned at every rebalance.

    `on_commit` gets the records that a commit has just passed; `seen` counts notable occurrences.
    """

    def __init__(
        self,
        partitions: int,
        rng: random.Random,
        *,
        on_commit: Callable[[list[Record]], None],
        seen: Counter[str],
    ) -> None:
        self._partitions = partitions
        self._rng = rng
        self._on_commit = on_commit
        self._seen = seen
        self.logs: dict[TopicPartition, list[Record]] = {
            TopicPartition(topic, number): [] for topic in (LIVE, BACKFILL) for number in range(partitions)
        }
        self.events: dict[tuple[TopicPartition, int], Event] = {}
        self.committed: dict[TopicPartition, int] = {}
        self.members: list[Consumer] = []
        self.generation = 0

    @property
    def caught_up(self) -> bool:
        return all(self.committed.get(partition, 0) == len(log) for partition, log in self.logs.items())

    def append(self, event: Event) -> None:
        partition = TopicPartition(event.topic, event.partition(self._partitions))
        offset = len(self.logs[partition])
        self.logs[partition].append(Record(event.key, event.value, *partition, offset, event.timestamp))
        self.events[partition, offset] = event
        for member in self.members:
            member.has_records[partition.topic].set()

    def join(self, member: Consumer) -> None:
        if member not in self.members:
            self.members.append(member)
            self.rebalance()

    def leave(self, member: Consumer) -> None:
        if member in self.members:
            self.members.remove(member)
            self.rebalance()

    def rebalance(self) -> None:
        """Every member loses its partitions, with or without a last commit, and starts at the committed offsets."""
        for member in self.members:
            if self._rng.random() < 0.5:
                self.commit(member, self.generation, member.committable())
        self.generation += 1
        if not self.members:
            return
        assignments: dict[Consumer, dict[TopicPartition, int]] = {member: {} for member in self.members}
        for partition in self._rng.sample(sorted(self.logs), len(self.logs)):
            assignments[self._rng.choice(self.members)][partition] = self.committed.get(partition, 0)
        for member, positions in assignments.items():
            member.assign(self.generation, positions)

    def commit(self, member: Consumer, generation: int, offsets: dict[TopicPartition, int]) -> None:
        """Accepted only from members of this generation, and only for their partitions."""
        if generation != self.generation or member not in self.members:
            self._seen["commit refused"] += bool(offsets)
            return
        for partition, offset in offsets.items():
            if partition in member.positions:
                before = self.committed.get(partition, 0)
                self.committed[partition] = offset
                self._on_commit(self.logs[partition][before:offset])


class Consumer:
    """The state of a Faust consumer: read positions, and acknowledged offsets that are not committed yet.

    It counts as Faust does. An acknowledgement belongs to a partition, not to the assignment under which the record
    was read. The first run of acknowledged offsets is committed even if it starts one after the last commit, or
    anywhere while nothing is committed yet.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.generation = 0
        self.positions: dict[TopicPartition, int] = {}
        self.has_records = {LIVE: asyncio.Event(), BACKFILL: asyncio.Event()}
        self._acked: defaultdict[TopicPartition, set[int]] = defaultdict(set)
        self._committed: dict[TopicPartition, int] = {}

    def assign(self, generation: int, positions: dict[TopicPartition, int]) -> None:
        self.generation = generation
        self._acked.clear()
        self._committed = {partition: offset for partition, offset in positions.items() if offset}
        self.positions = positions
        for event in self.has_records.values():
            event.set()

    def poll(self, topic: str, rng: random.Random) -> Record | None:
        """The next record of one of the topic's partitions, None if there is none now."""
        readable = [p for p, at in self.positions.items() if p.topic == topic and at < len(self._broker.logs[p])]
        if not readable:
            return None
        partition = rng.choice(readable)
        self.positions[partition] += 1
        return self._broker.logs[partition][self.positions[partition] - 1]

    def ack(self, record: Record) -> None:
        partition = TopicPartition(record.topic, record.partition)
        if record.offset >= self._committed.get(partition, 0):
            self._acked[partition].add(record.offset)

    def committable(self) -> dict[TopicPartition, int]:
        """The offsets to commit now. They count as committed from then on, even if the commit is lost."""
        offsets: dict[TopicPartition, int] = {}
        for partition, acked in self._acked.items():
            first = min(acked, default=None)
            if first is None or (partition in self._committed and first - self._committed[partition] > 1):
                continue
            end = first
            while end in acked:
                acked.remove(end)
                end += 1
            offsets[partition] = self._committed[partition] = end
        return offsets

    async def commit(self, delay: float) -> None:
        generation, offsets = self.generation, self.committable()
        await asyncio.sleep(delay)
        self._broker.commit(self, generation, offsets)
