"""The quarantine topic (dead-letter topic): refused records unchanged, with the reason and their origin.

The original key and value are kept byte for byte. All else is in headers, as UTF-8 text.

A replay of an entry is recorded by a marker: a message without key and value in the entry's partition of the quarantine
topic, whose header has the entry's offset. So there is no second store to keep consistent. A marker always comes after
its entry and is removed with it, and each replay adds one small message.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from catalog.domain.record import Record, Reject, Stage
from catalog.errors import Unavailable
from streams.config import KafkaConfig, TopicConfig
from streams.kafka_client import read_topic
from streams.topics import HEADERS_BYTES

HEADER = "liveshelf-"
# Kafka takes no message without key and value. Such a record is stored with an empty value and this header.
NO_VALUE = HEADER + "no-value"
REPLAYED = HEADER + "replayed"
REPLAYED_AT = HEADER + "replayed-at"
REASON_CHARS = 4000


class KafkaQuarantine:
    """`catalog.ports.Quarantine` on a topic. Every in-sync replica acknowledges each record."""

    def __init__(
        self,
        kafka: KafkaConfig,
        topics: TopicConfig,
        *,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives seconds since the epoch. `put` raises Unavailable if it is not confirmed within `timeout_s`."""
        self._kafka = kafka
        self._topics = topics
        self._timeout_s = timeout_s
        self._clock = clock
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._discard()

    async def put(self, rejects: Sequence[Reject]) -> None:
        """Stores the records. A retry after Unavailable may store some of them twice."""
        try:
            async with asyncio.timeout(self._timeout_s):
                producer = await self._connected()
                deliveries = [await self._send(producer, reject) for reject in rejects]
                await asyncio.gather(*deliveries)
        except MessageSizeTooLargeError as error:
            await self._discard()
            raise Unavailable(f"{self._where} takes no record this large: raise its max.message.bytes.") from error
        except (KafkaError, OSError, TimeoutError) as error:
            # A producer that lost a batch has a gap in its sequence, so the next try uses a new producer.
            await self._discard()
            raise Unavailable(f"{self._where} does not take records ({type(error).__name__}).") from error

    @property
    def _where(self) -> str:
        return f"The quarantine topic {self._topics.quarantine} at {self._kafka.bootstrap}"

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                **self._kafka.client_options(),
                acks="all",
                enable_idempotence=True,
                max_request_size=self._topics.max_bytes + HEADERS_BYTES,
                request_timeout_ms=int(self._timeout_s * 1000),
            )
            await self._producer.start()
        return self._producer

    async def _send(self, producer: AIOKafkaProducer, reject: Reject) -> asyncio.Future[object]:
        record = reject.record
        value = b"" if record.key is None and record.value is None else record.value
        headers = _headers(reject, at=round(self._clock() * 1000))
        future: asyncio.Future[object] = await producer.send(
            self._topics.quarantine, value=value, key=record.key, headers=headers
        )
        return future

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await producer.stop()
        except (KafkaError, OSError, TimeoutError):
            pass  # its records were not confirmed to the caller


def _headers(reject: Reject, *, at: int) -> list[tuple[str, bytes]]:
    record = reject.record
    fields = {
        "stage": reject.stage.value,
        "reason": reject.reason[:REASON_CHARS],
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "quarantined-at": at,
    }
    headers = [(HEADER + name, str(value).encode("utf-8", "replace")) for name, value in fields.items()]
    if record.key is None and record.value is None:
        headers.append((NO_VALUE, b"1"))
    return headers


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """A record in quarantine, and its partition and offset there. Times are in milliseconds since the epoch.

    `replayed_at` is the time of the last replay, None if there was none or the markers were not read.
    """

    reject: Reject
    quarantined_at: int
    partition: int
    offset: int
    replayed_at: int | None = None


@dataclass(frozen=True, slots=True)
class ReplayMarker:
    """Records that the entry at offset `entry` of the same partition was replayed at `at`, in milliseconds."""

    entry: int
    at: int
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class ForeignRecord:
    """A message in the topic that liveshelf did not put there."""

    partition: int
    offset: int


def marker_headers(entry: QuarantineEntry, *, at: int) -> list[tuple[str, bytes]]:
    """The headers of the marker for a replay of an entry at `at`, in milliseconds since the epoch."""
    return [(REPLAYED, str(entry.offset).encode()), (REPLAYED_AT, str(at).encode())]


def read_quarantine(kafka: KafkaConfig, topic: str) -> Iterator[QuarantineEntry]:
    """The present entries, partition by partition in arrival order. Raises Unavailable, InvalidInput."""
    return (item for item in read_all(kafka, topic) if isinstance(item, QuarantineEntry))


def read_all(
    kafka: KafkaConfig, topic: str, *, start: tuple[int, int] | None = None
) -> Iterator[QuarantineEntry | ReplayMarker | ForeignRecord]:
    """Every message of the topic; with `start`, a partition and an offset, only that partition from that offset.

    Raises Unavailable, InvalidInput.
    """
    for message in read_topic(kafka, topic, start=start):
        place = (message.partition, message.offset)
        try:
            yield _decoded(message, place)
        except (KeyError, ValueError, AttributeError):  # headers with our prefix that are not ours
            yield ForeignRecord(*place)


def _decoded(message: Any, place: tuple[int, int]) -> QuarantineEntry | ReplayMarker | ForeignRecord:
    headers = {name: value.decode() for name, value in message.headers if name.startswith(HEADER)}
    if REPLAYED in headers:
        return ReplayMarker(int(headers[REPLAYED]), int(headers[REPLAYED_AT]), *place)
    if HEADER + "stage" in headers:
        return _entry(message.key, message.value, headers, place)
    return ForeignRecord(*place)


def _entry(key: bytes | None, value: bytes | None, headers: dict[str, str], place: tuple[int, int]) -> QuarantineEntry:
    record = Record(
        key=key,
        value=None if NO_VALUE in headers else value,
        topic=headers[HEADER + "topic"],
        partition=int(headers[HEADER + "partition"]),
        offset=int(headers[HEADER + "offset"]),
        timestamp=int(headers[HEADER + "timestamp"]),
    )
    reject = Reject(record, Stage(headers[HEADER + "stage"]), headers[HEADER + "reason"])
    return QuarantineEntry(reject, int(headers[HEADER + "quarantined-at"]), *place)
