"""What comes off a topic, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record as it was read, before anything is made of it.

    `timestamp` is the record's own, in milliseconds since the epoch. `value` is None for a tombstone.
    """

    key: bytes | None
    value: bytes | None
    topic: str
    partition: int
    offset: int
    timestamp: int


class Stage(StrEnum):
    """Where on its way a record was refused."""

    PARSE = "parse"  # the bytes are not JSON
    SCHEMA = "schema"  # JSON, but not a product event
    ENCODE = "encode"  # the encoder gave no finite vector for it
    INDEX = "index"  # the index says the point is invalid


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot be applied, with why. It goes to quarantine whole."""

    record: Record
    stage: Stage
    reason: str
