"""Between Kafka's messages and the catalog's records."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from catalog.record import Record


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record together with how to say that it is done with."""

    record: Record
    ack: Callable[[], Awaitable[object]]


def record_key(tenant: str, id: str) -> bytes:
    """The key of a product's records: the compact JSON array [tenant, id] in UTF-8.

    An array keeps ("a", "b/c") and ("a/b", "c") apart, and equal keys land in one partition, which keeps a product's
    events in order. A tombstone has nothing but this key to say which product is gone.
    """
    return json.dumps([tenant, id], separators=(",", ":"), ensure_ascii=False).encode()


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
