"""The quarantine topic as the suite sees it: taken away and made again, with nothing forgotten that was in it."""

from __future__ import annotations

import time
from contextlib import closing
from typing import NamedTuple

from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import MessageSizeTooLargeError

from liveshelf.settings import Settings
from liveshelf.wiring.kafka import kafka_of, topics_of
from streams.kafka_client import admin_client
from streams.quarantine.topic import read_quarantine
from streams.topics import create_topics
from tests.chaos.stuck import Stuck

CLOSED_S = 20.0
GONE_S = 10.0


class Mark(NamedTuple):
    """What tells a record: where it was, its bytes, and the timestamp the shop gave it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int


class QuarantineWatch:
    """`kept` are the records that were in the topic before it was last taken away."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = kafka_of(settings)
        self._topics = topics_of(settings)
        self.kept: set[Mark] = set()

    def held(self) -> set[Mark]:
        """What was ever in quarantine, by record: to have one there more than once is allowed."""
        return self.kept | self._there()

    def remove(self) -> None:
        """Closes the topic for writers, notes what it holds, and deletes it: so nothing is lost by the suite itself."""
        name = self._topics.quarantine
        with admin_client(self._kafka) as client:
            client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs={"max.message.bytes": "1"})])
            self._wait_until_closed()
            self.kept |= self._there()
            client.delete_topics([name])
            end = time.monotonic() + GONE_S
            while name in client.list_topics() and time.monotonic() < end:
                time.sleep(0.05)

    def _wait_until_closed(self) -> None:
        end = time.monotonic() + CLOSED_S
        with closing(KafkaProducer(**self._kafka.client_options(), acks="all", retries=0)) as producer:
            for partition in range(self._topics.partitions):
                while True:
                    try:
                        producer.send(self._topics.quarantine, value=b"?", partition=partition).get(timeout=10)
                    except MessageSizeTooLargeError:
                        break
                    if time.monotonic() > end:
                        raise Stuck("the quarantine topic takes records although it was closed")
                    time.sleep(0.05)

    def make(self) -> None:
        create_topics(self._kafka, self._topics)

    def _there(self) -> set[Mark]:
        entries = read_quarantine(self._kafka, self._topics.quarantine)
        records = (entry.reject.record for entry in entries)
        return {Mark(r.topic, r.partition, r.offset, r.key, r.value, r.timestamp) for r in records}
