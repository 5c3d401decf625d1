"""From Kafka's messages to the catalog's records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from catalog.record import Record


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record together with how to say that it is done with."""

    record: Record
    ack: Callable[[], Awaitable[object]]


def record_of(message: Any) -> Record:
    """The record of a Faust message taken raw; its timestamp, there in seconds, becomes milliseconds."""
    return Record(
        key=message.key,
        value=message.value,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp=round(message.timestamp * 1000),
    )
