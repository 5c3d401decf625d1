"""The quarantine topic for the suite: deletes and creates it, and remembers its records."""

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
from tests.chaos.errors import NotInTime

CLOSED_S = 20.0
GONE_S = 10.0


class Mark(NamedTuple):
    """The identity of a record: its origin, its bytes, and the shop's timestamp."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int


class QuarantineRecords:
    """Records ever seen in the topic. `earlier` are those from before its last removal."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = kafka_of(settings)
        self._topics = topics_of(settings)
        self.earlier: set[Mark] = set()

    def all(self) -> set[Mark]:
        """Every record that was ever in quarantine. More than one entry for a record is allowed."""
        return self.earlier | self._present()

    def remove(self) -> None:
        """Closes the topic for writers, remembers its records, and deletes it, so that the suite itself loses none."""
        name = self._topics.quarantine
        with admin_client(self._kafka) as client:
            client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs={"max.message.bytes": "1"})])
            self._wait_until_closed()
            self.earlier |= self._present()
            client.delete_topics([name])
            deadline = time.monotonic() + GONE_S
            while name in client.list_topics() and time.monotonic() < deadline:
                time.sleep(0.05)

    def _wait_until_closed(self) -> None:
        deadline = time.monotonic() + CLOSED_S
        with closing(KafkaProducer(**self._kafka.client_options(), acks="all", retries=0)) as producer:
            for partition in range(self._topics.partitions):
                while True:
                    try:
                        producer.send(self._topics.quarantine, value=b"?", partition=partition).get(timeout=10)
                    except MessageSizeTooLargeError:
                        break
                    if time.monotonic() > deadline:
                        raise NotInTime("the quarantine topic still takes records after it was closed")
                    time.sleep(0.05)

    def make(self) -> None:
        create_topics(self._kafka, self._topics)

    def _present(self) -> set[Mark]:
        entries = read_quarantine(self._kafka, self._topics.quarantine)
        records = (entry.reject.record for entry in entries)
        return {Mark(r.topic, r.partition, r.offset, r.key, r.value, r.timestamp) for r in records}
