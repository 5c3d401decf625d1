"""Replays records in quarantine: sends them back to where they came from.

A record goes to the topic and partition it was read from, with its own key, bytes and timestamp. An event without a
version takes it from the timestamp; a new timestamp would win over all later changes. A record that is outdated by then
changes nothing, so a replay may be repeated.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kafka import KafkaProducer
from kafka.admin import ConfigResource
from kafka.errors import InvalidTimestampError, MessageSizeTooLargeError

from catalog.domain.record import Record, Reject
from catalog.errors import InvalidInput
from catalog.events.parser import ParsedEvent, ParserConfig, parse
from streams.config import KafkaConfig, TopicConfig
from streams.kafka_client import CONNECT_MS, admin_client, check_address, sentences
from streams.quarantine.selection import Place
from streams.quarantine.topic import QuarantineEntry, marker_headers, read_quarantine
from streams.topics import HEADERS_BYTES

DELIVERY_S = 60.0
TIMESTAMPS = "message.timestamp.type"
RETENTION = "retention.ms"


@dataclass(frozen=True, slots=True)
class ReplayPolicy:
    """How much is sent before it is confirmed and marked. After a crash in between, this much may be sent again."""

    records: int = 500
    bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """Entries to send, their number by topic, and the reasons why others cannot be sent, with their numbers.

    `old` counts by topic the entries older than its retention. Every few minutes the broker drops segments without
    younger records, so a worker must read these soon.
    """

    places: frozenset[Place] = frozenset()
    topics: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    old: Mapping[str, int] = field(default_factory=dict)


def plan(
    kafka: KafkaConfig,
    topics: TopicConfig,
    entries: Iterable[QuarantineEntry],
    contract: ParserConfig,
    *,
    clock: Callable[[], float] = time.time,
) -> ReplayPlan:
    """The entries that can be sent back. Raises Unavailable, InvalidInput."""
    configs = _configs(kafka, topics)
    now_ms = round(clock() * 1000)
    places: set[Place] = set()
    counts: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    old: Counter[str] = Counter()
    for entry in entries:
        record = entry.reject.record
        if reason := _unsendable(record, topics, configs, contract):
            left_out[reason] += 1
            continue
        places.add((entry.partition, entry.offset))
        counts[record.topic] += 1
        retention = int(configs.get(record.topic, {}).get(RETENTION, -1))
        if 0 <= retention < now_ms - record.timestamp:
            old[record.topic] += 1
    return ReplayPlan(frozenset(places), dict(counts), dict(left_out), dict(old))


def replay(
    kafka: KafkaConfig,
    topics: TopicConfig,
    places: Collection[Place],
    *,
    policy: ReplayPolicy = ReplayPolicy(),
    clock: Callable[[], float] = time.time,
    on_sent: Callable[[int], None] = lambda sent: None,
) -> int:
    """Sends the entries at `places` back, marks them and returns their number. The broker acknowledged all by then.

    `clock` gives seconds since the epoch, `on_sent` gets the number sent so far. An entry is marked after its record is
    acknowledged. After a failure in between it is sent again, which changes nothing. Raises Unavailable, InvalidInput.
    """
    sent = 0
    check_address(kafka)
    with sentences(kafka):
        producer = _producer(kafka, topics)
        try:
            entries = (e for e in read_quarantine(kafka, topics.quarantine) if (e.partition, e.offset) in places)
            for batch in _batches(entries, policy):
                _send_back(producer, batch)
                _mark(producer, topics.quarantine, batch, at=round(clock() * 1000))
                sent += len(batch)
                on_sent(sent)
        finally:
            producer.close(timeout=1)
    return sent


def _unsendable(
    record: Record, topics: TopicConfig, configs: Mapping[str, Mapping[str, str]], contract: ParserConfig
) -> str | None:
    if record.topic not in (topics.live, topics.backfill):
        return f"came from {record.topic}, which the worker does not read"
    if record.key is None and record.value is None:
        return "has neither key nor value"
    gets_new_timestamp = configs.get(record.topic, {}).get(TIMESTAMPS) == "LogAppendTime"
    if gets_new_timestamp and _version_is_timestamp(record, contract):
        return f"has no version, and {record.topic} would give it a new timestamp ({TIMESTAMPS})"
    return None


def _version_is_timestamp(record: Record, contract: ParserConfig) -> bool:
    """Whether the event's version is the record's timestamp."""
    without_timestamp = parse(replace(record, timestamp=-1), contract)
    return isinstance(parse(record, contract), ParsedEvent) and isinstance(without_timestamp, Reject)


def _configs(kafka: KafkaConfig, topics: TopicConfig) -> dict[str, dict[str, str]]:
    """The settings for timestamps and retention, by topic; a topic that does not exist is absent."""
    with admin_client(kafka) as client:
        names = sorted({topics.live, topics.backfill} & set(client.list_topics()))
        resources = [ConfigResource("TOPIC", name, [TIMESTAMPS, RETENTION]) for name in names]
        configs = client.describe_configs(resources, config_filter="all").get("topic", {}) if resources else {}
    return {name: {key: value["value"] for key, value in config.items()} for name, config in configs.items()}


def _producer(kafka: KafkaConfig, topics: TopicConfig) -> Any:
    return KafkaProducer(
        **kafka.client_options(),
        acks="all",
        enable_idempotence=True,
        max_request_size=topics.max_bytes + HEADERS_BYTES,
        max_block_ms=CONNECT_MS,
        bootstrap_timeout_ms=CONNECT_MS,
        delivery_timeout_ms=int(DELIVERY_S * 1000),
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )


def _batches(entries: Iterable[QuarantineEntry], policy: ReplayPolicy) -> Iterator[list[QuarantineEntry]]:
    batch: list[QuarantineEntry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += len(entry.reject.record.value or b"")
        if len(batch) >= policy.records or size >= policy.bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _send_back(producer: Any, batch: list[QuarantineEntry]) -> None:
    futures = []
    for entry in batch:
        record = entry.reject.record
        partitions = producer.partitions_for(record.topic)
        futures.append(
            producer.send(
                record.topic,
                key=record.key,
                value=record.value,
                # Its own partition, which another producer's hash may have chosen; by key if the topic is new.
                partition=record.partition if record.partition in partitions else None,
                timestamp_ms=record.timestamp,
            )
        )
    producer.flush(timeout=DELIVERY_S)
    for entry, future in zip(batch, futures, strict=True):
        _confirm(entry, future)


def _confirm(entry: QuarantineEntry, future: Any) -> None:
    place, record = f"{entry.partition}:{entry.offset}", entry.reject.record
    try:
        future.get(timeout=DELIVERY_S)
    except InvalidTimestampError:
        raise InvalidInput(
            f"The broker refuses the timestamp of the record at {place}, {record.timestamp}: it is too far from now "
            f"for message.timestamp.before.max.ms or message.timestamp.after.max.ms of {record.topic}."
        ) from None
    except MessageSizeTooLargeError:
        raise InvalidInput(f"The record at {place} is over max.message.bytes of {record.topic}: raise that.") from None


def _mark(producer: Any, topic: str, batch: list[QuarantineEntry], *, at: int) -> None:
    futures = [
        producer.send(topic, value=b"", partition=entry.partition, headers=marker_headers(entry, at=at))
        for entry in batch
    ]
    producer.flush(timeout=DELIVERY_S)
    for future in futures:
        future.get(timeout=DELIVERY_S)
