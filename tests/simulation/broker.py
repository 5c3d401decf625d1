"""Topics, a consumer group and committed offsets; and how a Faust worker reads and acknowledges."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import NamedTuple

from catalog.domain.record import Record
from tests.simulation.schedule import BACKFILL, LIVE, Event


class Place(NamedTuple):
    topic: str
    partition: int


class Broker:
    """The logs, and one group whose partitions are dealt to its members anew at every rebalance.

    `on_commit` hears of the records that a commit has just passed; `seen` counts what is worth knowing of.
    """

    def __init__(
        self,
        partitions: int,
        chance: random.Random,
        *,
        on_commit: Callable[[list[Record]], None],
        seen: Counter[str],
    ) -> None:
        self._partitions = partitions
        self._chance = chance
        self._on_commit = on_commit
        self._seen = seen
        self.logs: dict[Place, list[Record]] = {
            Place(topic, number): [] for topic in (LIVE, BACKFILL) for number in range(partitions)
        }
        self.said: dict[tuple[Place, int], Event] = {}
        self.committed: dict[Place, int] = {}
        self.members: list[Consumer] = []
        self.generation = 0

    @property
    def caught_up(self) -> bool:
        return all(self.committed.get(place, 0) == len(log) for place, log in self.logs.items())

    def append(self, event: Event) -> None:
        place = Place(event.topic, event.partition(self._partitions))
        offset = len(self.logs[place])
        self.logs[place].append(Record(event.key, event.value, *place, offset, event.timestamp))
        self.said[place, offset] = event
        for member in self.members:
            member.more[place.topic].set()

    def join(self, member: Consumer) -> None:
        if member not in self.members:
            self.members.append(member)
            self.rebalance()

    def leave(self, member: Consumer) -> None:
        if member in self.members:
            self.members.remove(member)
            self.rebalance()

    def rebalance(self) -> None:
        """Every member gives up all it has, with or without a last commit, and starts at the committed offsets."""
        for member in self.members:
            if self._chance.random() < 0.5:
                self.commit(member, self.generation, member.committable())
        self.generation += 1
        if not self.members:
            return
        hands: dict[Consumer, dict[Place, int]] = {member: {} for member in self.members}
        for place in self._chance.sample(sorted(self.logs), len(self.logs)):
            hands[self._chance.choice(self.members)][place] = self.committed.get(place, 0)
        for member, places in hands.items():
            member.assign(self.generation, places)

    def commit(self, member: Consumer, generation: int, offsets: dict[Place, int]) -> None:
        """Taken from members of this generation only, and only for what they were dealt."""
        if generation != self.generation or member not in self.members:
            self._seen["commit refused"] += bool(offsets)
            return
        for place, offset in offsets.items():
            if place in member.positions:
                before = self.committed.get(place, 0)
                self.committed[place] = offset
                self._on_commit(self.logs[place][before:offset])


class Consumer:
    """What Faust keeps for a worker: read positions, and the acknowledged offsets that are not committed yet.

    It counts as Faust does: an acknowledgement belongs to a partition, not to the assignment under which the record
    was read, and the first run of acknowledged offsets is committed even where it starts one after the last commit,
    or anywhere while nothing is committed yet.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.generation = 0
        self.positions: dict[Place, int] = {}
        self.more = {LIVE: asyncio.Event(), BACKFILL: asyncio.Event()}
        self._acked: defaultdict[Place, set[int]] = defaultdict(set)
        self._committed: dict[Place, int] = {}

    def assign(self, generation: int, positions: dict[Place, int]) -> None:
        self.generation = generation
        self._acked.clear()
        self._committed = {place: offset for place, offset in positions.items() if offset}
        self.positions = positions
        for more in self.more.values():
            more.set()

    def poll(self, topic: str, chance: random.Random) -> Record | None:
        """The next record of one of the topic's partitions, None where there is none now."""
        waiting = [p for p, at in self.positions.items() if p.topic == topic and at < len(self._broker.logs[p])]
        if not waiting:
            return None
        place = chance.choice(waiting)
        self.positions[place] += 1
        return self._broker.logs[place][self.positions[place] - 1]

    def ack(self, record: Record) -> None:
        place = Place(record.topic, record.partition)
        if record.offset >= self._committed.get(place, 0):
            self._acked[place].add(record.offset)

    def committable(self) -> dict[Place, int]:
        """What a commit would say now. From then on it counts as committed, whether or not it gets there."""
        offsets: dict[Place, int] = {}
        for place, acked in self._acked.items():
            first = min(acked, default=None)
            if first is None or (place in self._committed and first - self._committed[place] > 1):
                continue
            end = first
            while end in acked:
                acked.remove(end)
                end += 1
            offsets[place] = self._committed[place] = end
        return offsets

    async def commit(self, delay: float) -> None:
        generation, offsets = self.generation, self.committable()
        await asyncio.sleep(delay)
        self._broker.commit(self, generation, offsets)
