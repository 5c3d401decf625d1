"""Selects entries of the quarantine topic, with their replays, and removes them."""

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

Place = tuple[int, int]  # partition and offset in the quarantine topic


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions on entries; a condition that is None matches all.

    `reason` is a part of the reason's text, in upper or lower case. `since` (included) and `until` (excluded) bound the
    time of quarantine, in milliseconds since the epoch. `product` is an id, of `tenant` if that is given. `replayed` is
    whether an entry was replayed. `limit` selects the first entries, partition by partition in arrival order.
    """

    stage: Stage | None = None
    reason: str | None = None
    since: int | None = None
    until: int | None = None
    product: str | None = None
    tenant: str | None = None
    replayed: bool | None = None
    limit: int | None = None

    def matches(self, entry: QuarantineEntry, contract: ParserConfig) -> bool:
        """Whether an entry meets all conditions; `limit` is not considered."""
        reject = entry.reject
        return (
            self.stage in (None, reject.stage)
            and (self.reason is None or self.reason.casefold() in reject.reason.casefold())
            and (self.since is None or entry.quarantined_at >= self.since)
            and (self.until is None or entry.quarantined_at < self.until)
            and (self.replayed is None or (entry.replayed_at is not None) == self.replayed)
            and self._is_about(entry, contract)
        )

    def unlimited(self) -> Selection:
        """The same conditions without `limit`."""
        return replace(self, limit=None)

    def _is_about(self, entry: QuarantineEntry, contract: ParserConfig) -> bool:
        if self.product is None and self.tenant is None:
            return True
        return any(
            self.product in (None, key.id) and self.tenant in (None, key.tenant)
            for key in product_keys_in(entry.reject.record, contract)
        )


def select(kafka: KafkaConfig, topic: str, selection: Selection, contract: ParserConfig) -> Iterator[QuarantineEntry]:
    """The selected entries, each with its last replay. Reads the topic twice, with one entry in memory.

    Raises Unavailable, InvalidInput.
    """
    replays = _replays(kafka, topic)
    entries = (_marked(entry, replays) for entry in read_quarantine(kafka, topic))
    return islice((entry for entry in entries if selection.matches(entry, contract)), selection.limit)


def entry_at(kafka: KafkaConfig, topic: str, place: Place) -> QuarantineEntry:
    """The entry at a partition and offset of the quarantine topic.

    Raises InvalidInput if there is none, Unavailable.
    """
    entry: QuarantineEntry | None = None
    for item in read_all(kafka, topic, start=place):
        if isinstance(item, ReplayMarker) and entry is not None and item.entry == place[1]:
            entry = replace(entry, replayed_at=item.at)
        if entry is None:
            if item.offset != place[1] or not isinstance(item, QuarantineEntry):
                break
            entry = item
    if entry is None:
        raise InvalidInput(
            f"Nothing is in quarantine at {place[0]}:{place[1]}: `liveshelf quarantine list` shows what is."
        )
    return entry


@dataclass(frozen=True, slots=True)
class Removable:
    """The part of a selection that Kafka can delete: by partition, everything before an offset.

    `entries` is the number of selected entries there. `left` counts those that stay, because they lie behind others.
    """

    ends: Mapping[int, int] = field(default_factory=dict)
    entries: int = 0
    left: int = 0


def removable(kafka: KafkaConfig, topic: str, selection: Selection, contract: ParserConfig) -> Removable:
    """The part of the selected entries that can be removed. Raises Unavailable, InvalidInput.

    Kafka deletes only from the start of a partition. So the part ends at the first entry that is not selected, or at a
    foreign message. Markers do not end it, because their entries come before them.
    """
    ends: dict[int, int] = {}
    blocked: set[int] = set()
    entries = left = 0
    replays = _replays(kafka, topic)
    for item in read_all(kafka, topic):
        selected = isinstance(item, QuarantineEntry) and selection.matches(_marked(item, replays), contract)
        selected = selected and (selection.limit is None or entries + left < selection.limit)
        if isinstance(item, ForeignRecord) or (isinstance(item, QuarantineEntry) and not selected):
            blocked.add(item.partition)
        if item.partition in blocked:
            left += selected
        else:
            entries += selected
            ends[item.partition] = item.offset + 1
    return Removable(ends, entries, left)


def everything(kafka: KafkaConfig, topic: str) -> Removable:
    """All messages of the topic, foreign ones included. Raises Unavailable, InvalidInput."""
    ends: dict[int, int] = {}
    entries = 0
    for item in read_all(kafka, topic):
        ends[item.partition] = item.offset + 1
        entries += isinstance(item, QuarantineEntry)
    return Removable(ends, entries)


def remove(kafka: KafkaConfig, topic: str, removable: Removable) -> None:
    """Deletes for good. Entries that came since `removable` was made stay.

    Raises Unavailable, and InvalidInput if the topic is compacted.
    """
    if not removable.ends:
        return
    with admin_client(kafka) as client:
        try:
            client.delete_records({TopicPartition(topic, partition): end for partition, end in removable.ends.items()})
        except BrokerResponseError as error:  # for several partitions the client keeps only the names of errors
            if PolicyViolationError.__name__ not in repr(error):
                raise
            raise InvalidInput(
                f"The broker deletes nothing from {topic}, because it is compacted: set its cleanup.policy to delete."
            ) from None


def _replays(kafka: KafkaConfig, topic: str) -> dict[Place, int]:
    """The time of the last replay of each entry, by partition and offset."""
    markers = (item for item in read_all(kafka, topic) if isinstance(item, ReplayMarker))
    return {(marker.partition, marker.entry): marker.at for marker in markers}


def _marked(entry: QuarantineEntry, replays: Mapping[Place, int]) -> QuarantineEntry:
    at = replays.get((entry.partition, entry.offset))
    return entry if at is None else replace(entry, replayed_at=at)
