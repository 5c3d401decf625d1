"""Kafka messages as records of the catalog."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from catalog.domain.record import Record


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record, and the call that acknowledges it."""

    record: Record
    ack: Callable[[], Awaitable[object]]


def record_of(message: Any) -> Record:
    """The record of a message that aiokafka fetched."""
    return Record(
        key=message.key,
        value=message.value,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp=message.timestamp,
    )
