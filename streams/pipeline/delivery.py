"""From Kafka's messages to the catalog's records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from catalog.domain.record import Record


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record together with how to say that it is done with."""

    record: Record
    ack: Callable[[], Awaitable[object]]


def record_of(fetched: Any) -> Record:
    """The record of what aiokafka fetched."""
    return Record(
        key=fetched.key,
        value=fetched.value,
        topic=fetched.topic,
        partition=fetched.partition,
        offset=fetched.offset,
        timestamp=fetched.timestamp,
    )
