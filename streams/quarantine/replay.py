"""Records in quarantine, sent back the way they came.

A record goes to the topic and partition it was read from, with its own key, bytes and timestamp: an event without
version takes its version from the timestamp, so with a new one it would win over all that came since. What has been
overtaken then changes nothing, and so replaying is harmless however often it is done.
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
    """How much is sent before it is confirmed and marked. It is what may be sent again after a crash in between."""

    records: int = 500
    bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What would be sent: places in quarantine, how many for each topic, and why others cannot be, with how many.

    `old` is how many, by topic, are older than its retention: the broker looks every few minutes and drops a segment
    that holds nothing younger, so that a worker has to read them soon.
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
    """Which of the entries can be sent back. Raises Unavailable, InvalidInput."""
    configs = _configs(kafka, topics)
    now_ms = round(clock() * 1000)
    places: set[Place] = set()
    to: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    old: Counter[str] = Counter()
    for entry in entries:
        record = entry.reject.record
        if why := _unsendable(record, topics, configs, contract):
            left_out[why] += 1
            continue
        places.add((entry.partition, entry.offset))
        to[record.topic] += 1
        retention = int(configs.get(record.topic, {}).get(RETENTION, -1))
        if 0 <= retention < now_ms - record.timestamp:
            old[record.topic] += 1
    return ReplayPlan(frozenset(places), dict(to), dict(left_out), dict(old))


def replay(
    kafka: KafkaConfig,
    topics: TopicConfig,
    places: Collection[Place],
    *,
    policy: ReplayPolicy = ReplayPolicy(),
    clock: Callable[[], float] = time.time,
    on_sent: Callable[[int], None] = lambda sent: None,
) -> int:
    """Sends back what lies at these places of quarantine and marks it; how many, all of them kept when it returns.

    `clock` gives seconds since the epoch, `on_sent` gets how many are through. An entry is marked once its record is
    kept: after a failure in between it is sent once more, which changes nothing. Raises Unavailable, InvalidInput.
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
    redated = configs.get(record.topic, {}).get(TIMESTAMPS) == "LogAppendTime"
    if redated and _dated_by_record(record, contract):
        return f"has no version, and {record.topic} would give it a new timestamp ({TIMESTAMPS})"
    return None


def _dated_by_record(record: Record, contract: ParserConfig) -> bool:
    """Whether the version of what it says is the record's timestamp."""
    undated = parse(replace(record, timestamp=-1), contract)
    return isinstance(parse(record, contract), ParsedEvent) and isinstance(undated, Reject)


def _configs(kafka: KafkaConfig, topics: TopicConfig) -> dict[str, dict[str, str]]:
    """What the topics do to timestamps and to old records, by topic; a topic that is not there is absent."""
    with admin_client(kafka) as client:
        there = set(client.list_topics())
        names = sorted({topics.live, topics.backfill} & there)
        asked = [ConfigResource("TOPIC", name, [TIMESTAMPS, RETENTION]) for name in names]
        configs = client.describe_configs(asked, config_filter="all").get("topic", {}) if asked else {}
    return {name: {key: said["value"] for key, said in config.items()} for name, config in configs.items()}


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
        there = producer.partitions_for(record.topic)
        futures.append(
            producer.send(
                record.topic,
                key=record.key,
                value=record.value,
                # Its own partition, which another producer's hash may have chosen; by key where the topic is new.
                partition=record.partition if record.partition in there else None,
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
