"""Looking through quarantine: which entries are meant, which were sent back already, and what can be removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from kafka import TopicPartition
from kafka.errors import BrokerResponseError, PolicyViolationError

from catalog.domain.record import Stage
from catalog.errors import InvalidInput
from catalog.events.parser import ParserConfig, product_keys_in
from streams.config import KafkaConfig
from streams.kafka_client import admin_client
from streams.quarantine.topic import ForeignRecord, QuarantineEntry, ReplayMarker, read_all, read_quarantine

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries are meant; what is None leaves all in.

    `reason` is part of the reason's text, in any case. `since` and `until` bound when an entry came, in milliseconds
    since the epoch, the former included. `product` is an id, of `tenant` where that is given. `replayed` is whether an
    entry was sent back. `limit` takes the first so many, partition by partition in the order they came.
    """

    stage: Stage | None = None
    reason: str | None = None
    since: int | None = None
    until: int | None = None
    product: str | None = None
    tenant: str | None = None
    replayed: bool | None = None
    limit: int | None = None

    def holds(self, entry: QuarantineEntry, contract: ParserConfig) -> bool:
        """Whether an entry is meant; `limit` apart, which is about many."""
        said = entry.reject
        return (
            self.stage in (None, said.stage)
            and (self.reason is None or self.reason.casefold() in said.reason.casefold())
            and (self.since is None or entry.quarantined_at >= self.since)
            and (self.until is None or entry.quarantined_at < self.until)
            and (self.replayed is None or (entry.replayed_at is not None) == self.replayed)
            and self._is_about(entry, contract)
        )

    def unlimited(self) -> Selection:
        """The same, however many there are."""
        return replace(self, limit=None)

    def _is_about(self, entry: QuarantineEntry, contract: ParserConfig) -> bool:
        if self.product is None and self.tenant is None:
            return True
        return any(
            self.product in (None, key.id) and self.tenant in (None, key.tenant)
            for key in product_keys_in(entry.reject.record, contract)
        )


def select(kafka: KafkaConfig, topic: str, choice: Selection, contract: ParserConfig) -> Iterator[QuarantineEntry]:
    """The entries that are meant, each with when it was last sent back. Reads the topic twice, holding one entry.

    Raises Unavailable, InvalidInput.
    """
    sent = _markers(kafka, topic)
    entries = (_marked(entry, sent) for entry in read_quarantine(kafka, topic))
    return islice((entry for entry in entries if choice.holds(entry, contract)), choice.limit)


def entry_at(kafka: KafkaConfig, topic: str, place: Place) -> QuarantineEntry:
    """The entry at a partition and offset of the quarantine topic.

    Raises InvalidInput where there is none, Unavailable.
    """
    found: QuarantineEntry | None = None
    for held in read_all(kafka, topic, start=place):
        if isinstance(held, ReplayMarker) and found is not None and held.entry == place[1]:
            found = replace(found, replayed_at=held.at)
        if found is None:
            if held.offset != place[1] or not isinstance(held, QuarantineEntry):
                break
            found = held
    if found is None:
        raise InvalidInput(
            f"Nothing is in quarantine at {place[0]}:{place[1]}: `liveshelf quarantine list` shows what is."
        )
    return found


@dataclass(frozen=True, slots=True)
class Removable:
    """What Kafka can delete of what is meant: by partition, everything before an offset.

    `entries` is how many entries that takes away, `left` how many are meant but lie behind some that are not.
    """

    ends: Mapping[int, int] = field(default_factory=dict)
    entries: int = 0
    left: int = 0


def removable(kafka: KafkaConfig, topic: str, choice: Selection, contract: ParserConfig) -> Removable:
    """What of the entries that are meant can be removed. Raises Unavailable, InvalidInput.

    Kafka deletes only from a partition's beginning on. So a run ends at the first entry that is not meant; a marker,
    whose entry is gone by then, goes with it, and a message that is not ours ends it too.
    """
    ends: dict[int, int] = {}
    blocked: set[int] = set()
    entries = left = 0
    sent = _markers(kafka, topic)
    for held in read_all(kafka, topic):
        meant = isinstance(held, QuarantineEntry) and choice.holds(_marked(held, sent), contract)
        meant = meant and (choice.limit is None or entries + left < choice.limit)
        if isinstance(held, ForeignRecord) or (isinstance(held, QuarantineEntry) and not meant):
            blocked.add(held.partition)
        if held.partition in blocked:
            left += meant
        else:
            entries += meant
            ends[held.partition] = held.offset + 1
    return Removable(ends, entries, left)


def everything(kafka: KafkaConfig, topic: str) -> Removable:
    """All that is in the topic now, whoever put it there. Raises Unavailable, InvalidInput."""
    ends: dict[int, int] = {}
    entries = 0
    for held in read_all(kafka, topic):
        ends[held.partition] = held.offset + 1
        entries += isinstance(held, QuarantineEntry)
    return Removable(ends, entries)


def remove(kafka: KafkaConfig, topic: str, what: Removable) -> None:
    """Deletes it for good.

    What came meanwhile stays. Raises Unavailable, and InvalidInput for a topic that is compacted.
    """
    if not what.ends:
        return
    with admin_client(kafka) as client:
        try:
            client.delete_records({TopicPartition(topic, partition): end for partition, end in what.ends.items()})
        except BrokerResponseError as error:  # of several partitions the client keeps only the names of the errors
            if PolicyViolationError.__name__ not in repr(error):
                raise
            raise InvalidInput(
                f"The broker deletes nothing from {topic}, because it is compacted: set its cleanup.policy to delete."
            ) from None


def _markers(kafka: KafkaConfig, topic: str) -> dict[Place, int]:
    """When each entry was last sent back, by its place: two integers for each that was."""
    markers = (held for held in read_all(kafka, topic) if isinstance(held, ReplayMarker))
    return {(marker.partition, marker.entry): marker.at for marker in markers}


def _marked(entry: QuarantineEntry, sent: Mapping[Place, int]) -> QuarantineEntry:
    at = sent.get((entry.partition, entry.offset))
    return entry if at is None else replace(entry, replayed_at=at)
