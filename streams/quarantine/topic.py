"""The quarantine topic: what was refused, whole, with why and from where.

The original key and value are kept byte for byte; everything else stands in headers, all UTF-8 text.

An entry that was sent back through its own topic is remembered by a marker: a message without key and value, in the
entry's partition of the quarantine topic, whose header names the entry's offset. So there is no second store to keep in
step, a marker always comes after its entry and is removed with it, and there is one small message for each sending.
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
# Kafka takes no message with neither key nor value; such a record is kept with an empty value and this header.
NO_VALUE = HEADER + "no-value"
REPLAYED = HEADER + "replayed"
REPLAYED_AT = HEADER + "replayed-at"
REASON_CHARS = 4000


class KafkaQuarantine:
    """`catalog.ports.Quarantine` on a topic. Everything put is acknowledged by every in-sync replica."""

    def __init__(
        self,
        kafka: KafkaConfig,
        topics: TopicConfig,
        *,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives seconds since the epoch. A put that is not confirmed within `timeout_s` is Unavailable."""
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
        """Kept when it returns; after Unavailable, putting the same again may keep some of them twice."""
        try:
            async with asyncio.timeout(self._timeout_s):
                producer = await self._connected()
                sent = [await self._send(producer, reject) for reject in rejects]
                await asyncio.gather(*sent)
        except MessageSizeTooLargeError as error:
            await self._discard()
            raise Unavailable(f"{self._where} takes no record this large: raise its max.message.bytes.") from error
        except (KafkaError, OSError, TimeoutError) as error:
            # A producer that lost a batch has a gap in its sequence, so the next try starts with a new one.
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
            pass  # nothing of it was promised to anyone


def _headers(reject: Reject, *, at: int) -> list[tuple[str, bytes]]:
    record = reject.record
    said = {
        "stage": reject.stage.value,
        "reason": reject.reason[:REASON_CHARS],
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "quarantined-at": at,
    }
    headers = [(HEADER + name, str(value).encode("utf-8", "replace")) for name, value in said.items()]
    if record.key is None and record.value is None:
        headers.append((NO_VALUE, b"1"))
    return headers


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """A record in quarantine: what was refused, when (milliseconds since the epoch), and where it lies now.

    `replayed_at` is when it was last sent back, None where it was not or nobody has looked.
    """

    reject: Reject
    quarantined_at: int
    partition: int
    offset: int
    replayed_at: int | None = None


@dataclass(frozen=True, slots=True)
class ReplayMarker:
    """A note that the entry at `entry`, in the marker's own partition, was sent back at `at` (milliseconds)."""

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
    """The headers of the marker that says that an entry was sent back at `at`, milliseconds since the epoch."""
    return [(REPLAYED, str(entry.offset).encode()), (REPLAYED_AT, str(at).encode())]


def read_quarantine(kafka: KafkaConfig, topic: str) -> Iterator[QuarantineEntry]:
    """What is in quarantine now, partition by partition in the order it came. Raises Unavailable, Misuse."""
    return (held for held in read_all(kafka, topic) if isinstance(held, QuarantineEntry))


def read_all(
    kafka: KafkaConfig, topic: str, *, start: tuple[int, int] | None = None
) -> Iterator[QuarantineEntry | ReplayMarker | ForeignRecord]:
    """Every message of the topic for what it is; with `start`, one partition only, from an offset on.

    Raises Unavailable, Misuse.
    """
    for message in read_topic(kafka, topic, start=start):
        place = (message.partition, message.offset)
        try:
            yield _held(message, place)
        except (KeyError, ValueError, AttributeError):  # headers like ours that are not: not ours to explain
            yield ForeignRecord(*place)


def _held(message: Any, place: tuple[int, int]) -> QuarantineEntry | ReplayMarker | ForeignRecord:
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
