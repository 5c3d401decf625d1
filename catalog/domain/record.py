"""A Kafka record, and its rejection."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record before it is parsed.

    `timestamp` is the record's own, in milliseconds since the epoch. `value` is None for a tombstone.
    """

    key: bytes | None
    value: bytes | None
    topic: str
    partition: int
    offset: int
    timestamp: int


class Stage(StrEnum):
    """The step at which a record was rejected."""

    PARSE = "parse"  # the bytes are not JSON
    SCHEMA = "schema"  # valid JSON, but not a product event
    ENCODE = "encode"  # the encoder returned no finite vector
    INDEX = "index"  # the index calls the point invalid


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot be applied, and the reason. The whole record goes to quarantine."""

    record: Record
    stage: Stage
    reason: str
