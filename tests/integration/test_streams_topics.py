"""Topics, the publisher, quarantine and waiting, on a real broker."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import replace

import pytest

from catalog.domain.record import Record, Reject, Stage
from catalog.errors import InvalidInput, Unavailable
from streams.config import KafkaConfig, TopicConfig
from streams.kafka_client import read_topic
from streams.publish.publisher import EventTooLarge, Publisher, PublishPolicy
from streams.publish.wait_applied import wait_until_applied
from streams.quarantine.topic import KafkaQuarantine, read_quarantine
from streams.topics import check_topics, create_topics, partitions_of
from tests.integration.streaming import Place, new_place, working
from tests.streams.stages import RecordingStages

NOWHERE = KafkaConfig("127.0.0.1:1", group="g")


@pytest.fixture
def place(broker: str) -> Place:
    return new_place(broker)


def test_topics_are_created_once_with_their_partitions(broker: str) -> None:
    place = new_place(broker, partitions=5, create=False)
    topics = place.topics
    names = [topics.live, topics.backfill, topics.quarantine]
    with pytest.raises(InvalidInput, match=topics.live):
        check_topics(place.kafka, names)
    assert partitions_of(place.kafka, topics) == dict.fromkeys(names, 0)
    assert create_topics(place.kafka, topics) == names
    assert partitions_of(place.kafka, topics) == dict.fromkeys(names, 5)
    assert create_topics(place.kafka, topics) == []
    check_topics(place.kafka, names)


def test_more_partitions_than_a_topic_has_is_a_sentence(place: Place) -> None:
    with pytest.raises(InvalidInput, match="has 3 partitions, not 9"):
        create_topics(place.kafka, replace(place.topics, partitions=9))
    assert create_topics(place.kafka, replace(place.topics, partitions=2)) == []


def test_more_replicas_than_brokers_is_a_sentence(broker: str) -> None:
    place = new_place(broker, create=False)
    with pytest.raises(InvalidInput, match="does not create the topic"):
        create_topics(place.kafka, replace(place.topics, replication=3))


def test_a_broker_that_is_away_is_a_sentence_everywhere() -> None:
    for attempt in (
        lambda: create_topics(NOWHERE, TopicConfig()),
        lambda: Publisher(NOWHERE, "t"),
        lambda: list(read_quarantine(NOWHERE, "t")),
        lambda: wait_until_applied(NOWHERE, "t", {0: 1}, timeout_s=1),
    ):
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 does not answer .* start it, or correct its address"):
            attempt()


def test_an_address_without_a_port_is_a_sentence() -> None:
    with pytest.raises(InvalidInput, match="is not host:port"):
        create_topics(KafkaConfig("localhost"), TopicConfig())


def test_events_are_keyed_by_product_and_every_one_is_kept(place: Place) -> None:
    events = [{"id": f"sku-{i % 20}", "title": f"number {i}"} for i in range(1000)]
    with Publisher(place.kafka, place.topics.live) as publisher:
        ends = publisher.publish(events)
    seen = defaultdict(list)
    partitions = defaultdict(set)
    for message in read_topic(place.kafka, place.topics.live):
        tenant, id_ = json.loads(message.key)
        assert tenant == "default"
        seen[id_].append(json.loads(message.value)["title"])
        partitions[id_].add(message.partition)
    assert {id_: [e["title"] for e in events if e["id"] == id_] for id_ in seen} == seen
    assert all(len(used) == 1 for used in partitions.values())
    assert sum(ends.values()) == 1000


def test_the_tenant_of_an_event_is_in_its_key(place: Place) -> None:
    with Publisher(place.kafka, place.topics.live, tenant="shop-a") as publisher:
        publisher.publish([{"id": 7}, {"id": "7", "tenant": "shop-b"}])
    keys = {bytes(message.key) for message in read_topic(place.kafka, place.topics.live)}
    assert keys == {b'["shop-a","7"]', b'["shop-b","7"]'}


def test_gzip_is_read_as_any_other(place: Place) -> None:
    with Publisher(place.kafka, place.topics.live, policy=PublishPolicy(compression="gzip")) as publisher:
        publisher.publish([{"id": "a", "title": "x" * 10_000}])
    (message,) = read_topic(place.kafka, place.topics.live)
    assert json.loads(message.value)["title"] == "x" * 10_000


def test_an_event_that_is_too_large_names_its_product_and_the_rest_goes_on(place: Place) -> None:
    with Publisher(place.kafka, place.topics.live, policy=PublishPolicy(max_bytes=10_000)) as publisher:
        with pytest.raises(EventTooLarge, match=r"product big has 20,\d+ bytes and 10,000 are allowed"):
            publisher.send_event({"id": "big", "title": "x" * 20_000})
        publisher.send_event({"id": "small", "title": "x"})
        assert sum(publisher.flush().values()) == 1


def test_an_event_too_large_for_the_broker_names_its_product(broker: str) -> None:
    place = new_place(broker, create=False)
    create_topics(place.kafka, replace(place.topics, max_bytes=5_000))
    with pytest.raises(InvalidInput, match=r"product big.*max\.message\.bytes"):
        Publisher(place.kafka, place.topics.live).publish([{"id": "big", "title": "x" * 20_000}])


def test_an_event_without_id_is_refused(place: Place) -> None:
    with Publisher(place.kafka, place.topics.live) as publisher, pytest.raises(InvalidInput, match="needs an id"):
        publisher.send_event({"title": "nobody"})


def test_a_missing_topic_is_a_sentence(broker: str) -> None:
    place = new_place(broker, create=False)
    publisher = Publisher(place.kafka, place.topics.live)
    with pytest.raises(InvalidInput, match=f"no topic {place.topics.live}"), publisher:
        publisher.send_event({"id": "a"})


def refused(key: bytes | None, value: bytes | None, offset: int = 5) -> Reject:
    record = Record(key=key, value=value, topic="products", partition=2, offset=offset, timestamp=1_700_000_000_123)
    return Reject(record, Stage.SCHEMA, "price: „-1“ is not a number from 0 to 1e15")


async def test_quarantine_keeps_the_record_with_reason_and_origin(place: Place) -> None:
    rejects = [
        refused(b"k", b"\xff\x00 not json", offset=1),
        refused(b"k", None, offset=2),
        refused(None, b"no key", offset=3),
        refused(None, None, offset=4),
        refused(b"", b"", offset=5),
    ]
    async with KafkaQuarantine(place.kafka, place.topics, clock=lambda: 1_700_000_001.5) as quarantine:
        await quarantine.put(rejects)
        await quarantine.put([])
    entries = await asyncio.to_thread(lambda: list(read_quarantine(place.kafka, place.topics.quarantine)))
    assert sorted((e.reject for e in entries), key=lambda r: r.record.offset) == rejects
    assert {e.quarantined_at for e in entries} == {1_700_000_001_500}


async def test_quarantine_takes_an_event_as_large_as_the_live_topic_does(place: Place) -> None:
    value = b"x" * (place.topics.max_bytes - 1000)
    async with KafkaQuarantine(place.kafka, place.topics) as quarantine:
        await quarantine.put([refused(b"big", value)])
    (entry,) = await asyncio.to_thread(lambda: list(read_quarantine(place.kafka, place.topics.quarantine)))
    assert entry.reject.record.value == value


async def test_a_quarantine_that_cannot_be_reached_is_unavailable_and_can_be_tried_again(place: Place) -> None:
    async with KafkaQuarantine(NOWHERE, place.topics, timeout_s=1) as quarantine:
        for _ in range(2):
            with pytest.raises(Unavailable, match=r"quarantine topic .* does not take records"):
                await quarantine.put([refused(b"k", b"v")])


async def test_a_quarantine_topic_that_is_missing_is_unavailable(broker: str) -> None:
    place = new_place(broker, create=False)
    async with KafkaQuarantine(place.kafka, place.topics, timeout_s=1) as quarantine:
        with pytest.raises(Unavailable):
            await quarantine.put([refused(b"k", b"v")])


async def test_waiting_until_applied_follows_the_groups_commits(place: Place) -> None:
    with Publisher(place.kafka, place.topics.live) as publisher:
        ends = publisher.publish({"id": i} for i in range(100))

    remaining: list[int] = []

    def wait(timeout_s: float) -> None:
        wait_until_applied(place.kafka, place.topics.live, ends, timeout_s=timeout_s, on_progress=remaining.append)

    with pytest.raises(Unavailable, match=f"100 records of {place.topics.live} are not applied"):
        await asyncio.to_thread(wait, 0.2)
    async with working(place, RecordingStages()):
        await asyncio.to_thread(wait, 20)
    assert remaining[0] == 100
    assert remaining[-1] == 0
