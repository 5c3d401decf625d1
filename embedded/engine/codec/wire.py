"""Answers put together of bytes: messages on the wire, and numbers that stand for points' ids."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

RESULT = b"\x0a"  # what was found in GetResponse, QueryResponse, that of a batch and its parts: field 1 as a message
_TIME = b"\x11"  # the seconds that it took, field 2 as a double


class PackedResponse:
    """A GetResponse, QueryResponse or QueryBatchResponse that is bytes already but for its time, in seconds."""

    def __init__(self, result: bytes) -> None:
        self._result = result
        self.time = 0.0

    @classmethod
    def batch(cls, answers: Iterable[bytes]) -> PackedResponse:
        """The answer to several queries, from the hits of each."""
        return cls(b"".join(framed(RESULT, hits) for hits in answers))

    def SerializeToString(self) -> bytes:
        return self._result + _TIME + struct.pack("<d", self.time)


def framed(field: bytes, message: bytes) -> bytes:
    """A message as the field of another."""
    return field + _varint(len(message)) + message


def keys_of(ids: Sequence[Any]) -> list[int]:
    """Numbers that stand for ids: a UUID is hashed and compared in Python, at five times the cost."""
    try:
        return [point_id.int for point_id in ids]
    except AttributeError:
        # Numbers as ids go below zero, where no UUID is.
        return [~point_id if isinstance(point_id, int) else point_id.int for point_id in ids]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
