"""Responses composed of encoded messages, and integer keys for point ids."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

RESULT = b"\x0a"  # field 1, a message: the result in GetResponse, QueryResponse, QueryBatchResponse and BatchResult
_TIME = b"\x11"  # field 2, a double: the duration in seconds


class PackedResponse:
    """A GetResponse, QueryResponse or QueryBatchResponse that is encoded except for its time, in seconds."""

    def __init__(self, result: bytes) -> None:
        self._result = result
        self.time = 0.0

    @classmethod
    def batch(cls, results: Iterable[bytes]) -> PackedResponse:
        """The response to several queries, from the encoded hits of each."""
        return cls(b"".join(framed(RESULT, hits) for hits in results))

    def SerializeToString(self) -> bytes:
        return self._result + _TIME + struct.pack("<d", self.time)


def framed(field: bytes, message: bytes) -> bytes:
    """An encoded message as a field of another."""
    return field + _varint(len(message)) + message


def keys_of(ids: Sequence[Any]) -> list[int]:
    """Integers in place of ids. A UUID is hashed and compared in Python, at five times the cost."""
    try:
        return [point_id.int for point_id in ids]
    except AttributeError:
        # Numeric ids become negative, so that they never equal a UUID's integer.
        return [~point_id if isinstance(point_id, int) else point_id.int for point_id in ids]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
