"""Publishes events to a topic, keyed by product, and confirms every delivery."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from catalog.domain.product import ProductKey
from catalog.errors import InvalidInput, LiveshelfError
from catalog.events.parser import key_bytes
from streams.config import KafkaConfig
from streams.kafka_client import CONNECT_MS, check_address, sentence, sentences

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PublishPolicy:
    """Bounds on records and bytes in flight, and settings of the producer.

    `max_bytes` bounds one event, key included. The producer waits `linger_ms` to fill a batch. Compression is None or
    "gzip", which saves network and disk and costs processor time of the sender.
    """

    max_bytes: int = 8 * 1024 * 1024
    in_flight_records: int = 4000
    in_flight_bytes: int = 32 * 1024 * 1024
    linger_ms: int = 20
    compression: str | None = None
    delivery_timeout_s: float = 30.0


class EventTooLarge(InvalidInput):
    """One event is too large to be sent; other events are not affected."""


class Publisher:
    """A producer for one topic, used as a context manager. Leaving it without an error flushes.

    If a delivery fails, the next `send` or `flush` raises the error and names the product.
    """

    def __init__(
        self, kafka: KafkaConfig, topic: str, *, tenant: str = "default", policy: PublishPolicy = PublishPolicy()
    ) -> None:
        """`tenant` is the tenant of events without one. Raises Unavailable if the broker does not answer."""
        self._kafka = kafka
        self._topic = topic
        self._tenant = tenant
        self._policy = policy
        self._room = threading.Condition()
        self._records = 0
        self._bytes = 0
        self._failure: tuple[ProductKey, Exception] | None = None
        self._ends: dict[int, int] = {}
        check_address(kafka)
        with sentences(kafka):
            self._producer = KafkaProducer(
                **kafka.client_options(),
                acks="all",
                enable_idempotence=True,
                compression_type=policy.compression,
                linger_ms=policy.linger_ms,
                batch_size=256 * 1024,
                max_request_size=policy.max_bytes,
                max_block_ms=CONNECT_MS,
                bootstrap_timeout_ms=CONNECT_MS,
                delivery_timeout_ms=int(policy.delivery_timeout_s * 1000),
                request_timeout_ms=int(policy.delivery_timeout_s * 500),
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self._producer.close(timeout=1)

    def publish(self, events: Iterable[Event]) -> dict[int, int]:
        """Sends product events of the data contract, and flushes. Returns the offsets of `flush`."""
        for event in events:
            self.send_event(event)
        return self.flush()

    def send_event(self, event: Event) -> None:
        """Sends one event of the data contract. Raises EventTooLarge, or InvalidInput for one without an id."""
        if (id_ := event.get("id")) in (None, ""):
            raise InvalidInput("An event needs an id to be published: it decides the partition.")
        key = ProductKey(str(event.get("tenant") or self._tenant), str(id_))
        self.send(key, json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())

    def send(self, key: ProductKey, value: bytes | None) -> None:
        """Sends the bytes of one event, or None to delete the product. Waits while too much is in flight."""
        size = len(value or b"")
        self._reserve(size)
        try:
            future = self._producer.send(self._topic, key=key_bytes(key), value=value)
        except MessageSizeTooLargeError:
            self._release(size)
            raise _too_large(key, size, self._policy.max_bytes) from None
        except BaseException as error:
            self._release(size)
            if isinstance(error, KafkaTimeoutError):
                raise InvalidInput(
                    f"The broker at {self._kafka.bootstrap} has no topic {self._topic}: create it."
                ) from None
            raise
        future.add_callback(partial(self._delivered, size))
        future.add_errback(partial(self._failed, key, size))

    def flush(self) -> dict[int, int]:
        """Waits until the broker acknowledged all. Returns by partition the offset after the last record sent."""
        with sentences(self._kafka):
            self._producer.flush(timeout=self._policy.delivery_timeout_s * 2)
        with self._room:
            self._room.wait_for(lambda: self._records == 0 or self._failure is not None, timeout=1)
            self._raise_failure()
            return dict(self._ends)

    def _reserve(self, size: int) -> None:
        policy = self._policy
        with self._room:
            # One record may always be in flight, however large.
            self._room.wait_for(
                lambda: (
                    self._failure is not None
                    or self._records == 0
                    or (self._records < policy.in_flight_records and self._bytes + size <= policy.in_flight_bytes)
                )
            )
            self._raise_failure()
            self._records += 1
            self._bytes += size

    def _release(self, size: int) -> None:
        with self._room:
            self._records -= 1
            self._bytes -= size
            self._room.notify_all()

    def _delivered(self, size: int, metadata: Any) -> None:
        with self._room:
            self._ends[metadata.partition] = max(self._ends.get(metadata.partition, 0), metadata.offset + 1)
        self._release(size)

    def _failed(self, key: ProductKey, size: int, error: Exception) -> None:
        with self._room:
            self._failure = self._failure or (key, error)
        self._release(size)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise _undelivered(self._kafka, *self._failure)


def _undelivered(kafka: KafkaConfig, key: ProductKey, error: Exception) -> LiveshelfError:
    if isinstance(error, MessageSizeTooLargeError):
        return InvalidInput(
            f"The broker refuses the event of product {key.id}: it is over the topic's max.message.bytes."
        )
    reason = sentence(kafka, error)
    return type(reason)(f"The event of product {key.id} was not delivered. {reason}")


def _too_large(key: ProductKey, size: int, limit: int) -> EventTooLarge:
    return EventTooLarge(
        f"The event of product {key.id} has {size:,} bytes and {limit:,} are allowed: "
        f"refer to its photos by URL instead of carrying them, or make them smaller."
    )
