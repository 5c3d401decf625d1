from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from faust.transport.consumer import Consumer as FaustConsumer

from catalog.domain.record import Record
from tests.simulation.broker import Broker, Consumer, TopicPartition
from tests.simulation.schedule import LIVE, Event

PARTITION = TopicPartition(LIVE, 0)


class SingleMemberGroup:
    """A topic of one partition with ten records, and one member that reads them all."""

    def __init__(self, committed: int = 0) -> None:
        self.passed: list[int] = []
        self.broker = Broker(
            1, random.Random(1), on_commit=lambda records: self.passed.extend(r.offset for r in records), seen=Counter()
        )
        for offset in range(10):
            self.broker.append(Event(0.0, LIVE, b"k", b"{}", offset))
        self.broker.committed[PARTITION] = committed
        self.member = Consumer(self.broker)
        self.broker.join(self.member)

    def read(self) -> list[Record]:
        rng = random.Random(1)
        return list(iter(lambda: self.member.poll(LIVE, rng), None))

    def commit(self, *offsets: int) -> int:
        for record in self.broker.logs[PARTITION]:
            if record.offset in offsets:
                self.member.ack(record)
        self.broker.commit(self.member, self.broker.generation, self.member.committable())
        return self.broker.committed[PARTITION]


def test_what_is_not_committed_comes_again():
    group = SingleMemberGroup()
    assert [r.offset for r in group.read()] == list(range(10))
    assert group.commit(0, 1, 2, 5) == 3
    assert group.passed == [0, 1, 2]
    group.broker.leave(group.member)
    group.member = Consumer(group.broker)
    group.broker.join(group.member)
    assert [r.offset for r in group.read()] == list(range(3, 10))


@pytest.mark.parametrize(
    ("committed", "acked", "expected"),
    [
        (3, (3, 4, 6), 5),
        (3, (5, 6), 3),
        (3, (4, 5), 6),  # Faust skips one record
        (0, (7, 8), 9),  # and, before the first commit, over any number
        (3, (0, 1, 2), 3),
    ],
)
def test_a_commit_is_the_first_run_of_acknowledged_offsets(committed: int, acked: Sequence[int], expected: int):
    group = SingleMemberGroup(committed)
    group.read()
    assert group.commit(*acked) == expected


@pytest.mark.parametrize("seed", range(30))
def test_commits_are_counted_as_faust_counts_them(seed: int):
    rng = random.Random(seed)
    group = SingleMemberGroup(committed := rng.choice((0, 3)))
    faust = SimpleNamespace(
        _acked=defaultdict(list),
        _acked_index=defaultdict(set),
        _gap=defaultdict(list),
        _committed_offset={PARTITION: committed or None},
    )
    for _ in range(6):
        acked = rng.sample(range(10), rng.randint(0, 4))
        for offset in acked:
            before = faust._committed_offset[PARTITION]
            if (before is None or offset >= before) and offset not in faust._acked_index[PARTITION]:
                faust._acked_index[PARTITION].add(offset)
                faust._acked[PARTITION].append(offset)
        if (offset := FaustConsumer._new_offset(faust, PARTITION)) is not None:
            faust._committed_offset[PARTITION] = offset
        assert group.commit(*acked) == (faust._committed_offset[PARTITION] or 0)


def test_a_member_without_partitions_commits_nothing():
    group = SingleMemberGroup()
    group.read()
    stale = group.broker.generation
    group.member.ack(group.broker.logs[PARTITION][0])
    group.broker.leave(group.member)
    group.broker.commit(group.member, stale, {PARTITION: 5})
    assert group.broker.committed[PARTITION] == 0
