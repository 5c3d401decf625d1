"""Refused records: selected, replayed and removed, on a real broker."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from catalog.domain.product import ProductKey
from catalog.domain.record import Record, Reject, Stage
from catalog.errors import InvalidInput
from catalog.events.parser import ParserConfig, key_bytes
from catalog.ingest.ingest import Ingest, IngestPolicy
from streams.kafka_client import read_topic
from streams.quarantine.replay import ReplayPolicy, plan, replay
from streams.quarantine.selection import Selection, entry_at, everything, removable, remove, select
from streams.quarantine.topic import ForeignRecord, KafkaQuarantine, QuarantineEntry, read_all
from tests.fakes import FakeEncoder, FakeIndex, ListQuarantine
from tests.integration.streaming import Place, new_place

CONTRACT = ParserConfig()
OLD = round(time.time() * 1000) - 3_600_000  # young enough for the broker to keep it


@pytest.fixture
def place(broker: str) -> Place:
    return new_place(broker)


def refused(place: Place, offset: int, *, value: bytes | None = b"{", topic: str | None = None, **more) -> Reject:
    record = Record(
        key=more.pop("key", key_bytes(ProductKey("default", f"sku-{offset}"))),
        value=value,
        topic=topic or place.topics.live,
        partition=more.pop("partition", offset % 3),
        offset=offset,
        timestamp=OLD + offset,
    )
    return Reject(record, more.pop("stage", Stage.PARSE), f"reason {offset}")


def keep(place: Place, *rejects: Reject, at: float = 1_700_000_000.0) -> None:
    async def put() -> None:
        async with KafkaQuarantine(place.kafka, place.topics, clock=lambda: at) as quarantine:
            await quarantine.put(rejects)

    asyncio.run(put())


def selected(place: Place, selection: Selection = Selection()) -> list[QuarantineEntry]:  # noqa: B008 -- frozen
    return list(select(place.kafka, place.topics.quarantine, selection, CONTRACT))


def offsets(entries: list[QuarantineEntry]) -> list[int]:
    return sorted(entry.reject.record.offset for entry in entries)


def send(place: Place, selection: Selection = Selection(replayed=False)) -> int:  # noqa: B008 -- frozen
    planned = plan(place.kafka, place.topics, selected(place, selection), CONTRACT)
    return replay(place.kafka, place.topics, planned.places, clock=lambda: 1_800_000_000.0)


def test_a_record_goes_back_unchanged_and_is_marked(place: Place) -> None:
    live, backfill = refused(place, 5, value=b"\xff\x00"), refused(place, 7, topic=place.topics.backfill, value=None)
    no_key = refused(place, 8, key=None, value=b"v", partition=2)
    keep(place, live, backfill, no_key)
    assert send(place) == 3
    for topic, rejects in ((place.topics.live, [live, no_key]), (place.topics.backfill, [backfill])):
        seen = {(m.partition, m.key, m.value, m.timestamp) for m in read_topic(place.kafka, topic)}
        assert seen == {(r.partition, r.key, r.value, r.timestamp) for r in (reject.record for reject in rejects)}
    assert selected(place, Selection(replayed=False)) == []
    assert {entry.replayed_at for entry in selected(place)} == {1_800_000_000_000}
    for entry in selected(place):
        assert entry_at(place.kafka, place.topics.quarantine, (entry.partition, entry.offset)) == entry
    assert send(place) == 0
    assert send(place, Selection(replayed=True, product="sku-7")) == 1


def test_a_replay_in_many_batches_sends_each_once(place: Place) -> None:
    keep(place, *(refused(place, n) for n in range(50)))
    places = frozenset((e.partition, e.offset) for e in selected(place))
    progress: list[int] = []
    assert replay(place.kafka, place.topics, places, policy=ReplayPolicy(records=7), on_sent=progress.append) == 50
    assert progress == [7, 14, 21, 28, 35, 42, 49, 50]
    assert sorted(m.timestamp for m in read_topic(place.kafka, place.topics.live)) == [OLD + n for n in range(50)]
    assert len(selected(place, Selection(replayed=True))) == 50


async def test_a_replayed_event_without_version_does_not_win_over_what_came_since(place: Place) -> None:
    index = FakeIndex()
    policy = IngestPolicy(parser=CONTRACT)
    ingest = Ingest(index=index, encoder=FakeEncoder(), quarantine=ListQuarantine(), policy=policy)

    async def apply(records: list[Record]) -> None:
        batch = await ingest.plan(records)
        await ingest.write(batch)

    old = refused(place, 1, value=b'{"id": "a", "title": "old"}')
    fresh = replace(old.record, value=b'{"id": "a", "title": "fresh"}', timestamp=OLD + 99)
    await apply([fresh])
    await asyncio.to_thread(keep, place, old)
    assert await asyncio.to_thread(send, place) == 1
    messages = await asyncio.to_thread(lambda: list(read_topic(place.kafka, place.topics.live)))
    await apply([Record(m.key, m.value, m.topic, m.partition, m.offset, m.timestamp) for m in messages])
    assert index.points[ProductKey("default", "a")][0]["title"] == "fresh"


def test_unsendable_records_are_counted_with_the_reason(place: Place) -> None:
    elsewhere, nothing = refused(place, 1, topic="gone"), refused(place, 2, key=None, value=None)
    keep(place, elsewhere, nothing, refused(place, 3))
    planned = plan(place.kafka, place.topics, selected(place), CONTRACT)
    assert planned.topics == {place.topics.live: 1}
    assert planned.left_out == {"came from gone, which the worker does not read": 1, "has neither key nor value": 1}


def test_if_the_broker_sets_timestamps_only_events_with_a_version_go_back(place: Place) -> None:
    with KafkaAdminClient(**place.kafka.client_options()) as client:
        from kafka.admin import ConfigResource

        config = {"message.timestamp.type": "LogAppendTime"}
        client.alter_configs([ConfigResource("TOPIC", place.topics.live, config)])
    keep(
        place,
        refused(place, 1, value=b'{"id": "a", "title": "t"}'),
        refused(place, 2, value=b'{"id": "a", "title": "t", "version": 3}'),
        refused(place, 3, value=None),
    )
    planned = plan(place.kafka, place.topics, selected(place), CONTRACT)
    assert planned.topics == {place.topics.live: 1}
    assert [(("message.timestamp.type" in reason), count) for reason, count in planned.left_out.items()] == [(True, 2)]


def test_records_older_than_the_retention_are_counted(place: Place) -> None:
    keep(place, refused(place, 1), refused(place, 2, topic=place.topics.backfill))
    week_ms = 7 * 24 * 3_600_000
    later = (OLD + 2 + week_ms) / 1000
    planned = plan(place.kafka, place.topics, selected(place), CONTRACT, clock=lambda: later)
    assert (len(planned.places), planned.old) == (2, {place.topics.live: 1})


def test_selections_by_time_and_number(place: Place) -> None:
    keep(place, *(refused(place, n) for n in range(4)), at=1000.0)
    keep(place, *(refused(place, n, stage=Stage.SCHEMA) for n in range(4, 6)), at=2000.0)
    assert offsets(selected(place, Selection(until=2_000_000))) == [0, 1, 2, 3]
    assert offsets(selected(place, Selection(since=2_000_000))) == [4, 5]
    assert offsets(selected(place, Selection(stage=Stage.SCHEMA, product="sku-5"))) == [5]
    assert len(selected(place, Selection(limit=3))) == 3


def test_a_place_without_an_entry_is_a_sentence(place: Place) -> None:
    keep(place, refused(place, 1))
    for nowhere in ((0, 99), (9, 0)):
        with pytest.raises(InvalidInput, match=f"Nothing is in quarantine at {nowhere[0]}:{nowhere[1]}"):
            entry_at(place.kafka, place.topics.quarantine, nowhere)


def one_partition(broker: str) -> Place:
    return new_place(broker, partitions=1)


def test_a_purge_up_to_a_time_removes_all_before_it(broker: str) -> None:
    place = one_partition(broker)
    topic = place.topics.quarantine
    keep(place, *(refused(place, n, partition=0) for n in range(4)), at=1000.0)
    keep(place, *(refused(place, n, partition=0) for n in range(4, 6)), at=2000.0)
    part = removable(place.kafka, topic, Selection(until=2_000_000), CONTRACT)
    assert (part.entries, part.left) == (4, 0)
    remove(place.kafka, topic, part)
    assert offsets(selected(place)) == [4, 5]
    assert removable(place.kafka, topic, Selection(until=2_000_000), CONTRACT).entries == 0


def test_a_purge_keeps_entries_behind_others(broker: str) -> None:
    place = one_partition(broker)
    stages = [Stage.PARSE, Stage.PARSE, Stage.INDEX, Stage.PARSE]
    keep(place, *(refused(place, n, stage=stage, partition=0) for n, stage in enumerate(stages)))
    part = removable(place.kafka, place.topics.quarantine, Selection(stage=Stage.PARSE), CONTRACT)
    assert (part.ends, part.entries, part.left) == ({0: 2}, 2, 1)
    first = removable(place.kafka, place.topics.quarantine, Selection(limit=1), CONTRACT)
    assert (first.ends, first.entries, first.left) == ({0: 1}, 1, 0)
    remove(place.kafka, place.topics.quarantine, part)
    assert offsets(selected(place)) == [2, 3]


def test_a_marker_is_removed_with_its_entry_and_a_foreign_message_stays(broker: str) -> None:
    place = one_partition(broker)
    topic = place.topics.quarantine
    keep(place, refused(place, 1, partition=0))
    assert send(place) == 1
    producer = KafkaProducer(**place.kafka.client_options())
    producer.send(topic, value=b"hello", headers=[("liveshelf-stage", b"\xff"), ("theirs", b"\xff")])
    producer.flush()
    producer.close()
    part = removable(place.kafka, topic, Selection(), CONTRACT)
    assert (part.ends, part.entries, part.left) == ({0: 2}, 1, 0)
    remove(place.kafka, topic, part)
    (remaining,) = read_all(place.kafka, topic)
    assert remaining == ForeignRecord(0, 2)
    remove(place.kafka, topic, everything(place.kafka, topic))
    assert list(read_all(place.kafka, topic)) == []
    remove(place.kafka, topic, everything(place.kafka, topic))


def test_a_compacted_topic_is_a_sentence(place: Place) -> None:
    from kafka.admin import ConfigResource

    keep(place, *(refused(place, n) for n in range(9)))
    with KafkaAdminClient(**place.kafka.client_options()) as client:
        client.alter_configs([ConfigResource("TOPIC", place.topics.quarantine, {"cleanup.policy": "compact"})])
    with pytest.raises(InvalidInput, match=r"cleanup\.policy"):
        remove(place.kafka, place.topics.quarantine, everything(place.kafka, place.topics.quarantine))


def test_the_bytes_of_json_survive(place: Place) -> None:
    value = json.dumps({"id": "ä", "title": 5}).encode()
    keep(place, refused(place, 0, value=value))
    (entry,) = selected(place, Selection(product="ä"))
    assert entry.reject.record.value == value
