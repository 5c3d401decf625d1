"""Converts between products and Qdrant points: id, payload, vectors, and the guard for compare-and-set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b, sha1
from json.encoder import encode_basestring_ascii as quoted
from types import MappingProxyType
from typing import Any
from uuid import UUID

import numpy as np
from qdrant_client import grpc

from catalog.domain.product import ProductKey
from catalog.domain.space import Space
from catalog.domain.state import STATE_FIELDS, IndexedState, Payload, indexed_state_from
from catalog.ports import ProductWrite, Vector
from indexer.qdrant.bm25 import LEXICAL, write_document
from indexer.qdrant.payload import fill, payload_from

# The namespace of the ids of liveshelf's points. A point's id never changes, so neither may this.
NAMESPACE = UUID("4b1c7e0a-5d3f-5f0e-9c52-6c6976657368")

# The payload field that compare-and-set filters on: a digest of the point's id and its revision.
GUARD = "guard"
# Payload fields of the write side only; hits do not include them.
INTERNALS = ("clock", "revision", "fingerprint", GUARD)


_STATE_FIELDS = frozenset(STATE_FIELDS)
_COMPACT = json.JSONEncoder(separators=(",", ":"))


class InvalidPoint(Exception):
    """A write that no index accepts. The text is the reason."""


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """A whole point as it was read, and its STATE_FIELDS as plain Python."""

    point: grpc.RetrievedPoint
    fields: Payload


def point_id(key: ProductKey) -> str:
    """The id of a product's point: a UUID of version 5, the same in every process.

    The hashed name is [tenant, id] as ASCII JSON, so that different keys have different names.
    """
    # Equal to uuid5, which is four times slower: a batch computes hundreds of ids, several times.
    name = f"[{quoted(key.tenant)}, {quoted(key.id)}]".encode()
    h = sha1(NAMESPACE.bytes + name, usedforsecurity=False).hexdigest()
    return f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:32]}"


def guard_of(point: str, revision: str) -> str:
    """A digest of point and revision. It is unique to the point, so one condition can guard a whole batch."""
    return blake2b(f"{point} {revision}".encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def point_of(write: ProductWrite, space: Space) -> grpc.PointStruct:
    """The point of a write that replaces the whole point. Raises InvalidPoint."""
    point = _point(write)
    # In place, here and below: the constructor of a message copies its arguments, with all their floats.
    named = point.vectors.vectors.vectors
    point.vectors.vectors.SetInParent()
    for name, vector in (write.vectors or {}).items():
        _check(name, vector, space)
        named[name].dense.MergeFromString(_packed(vector))
    title = write.payload.get("title")
    if title and write.payload["live"]:
        write_document(named[LEXICAL].document, title)
    return point


def with_changed_payload(write: ProductWrite, current: StoredPoint) -> grpc.PointStruct:
    """The current point with the changed fields of a payload-only write. Raises InvalidPoint."""
    point = grpc.PointStruct()
    point.payload.MergeFrom(current.point.payload)
    _fill(point, write, current=current.fields)
    # Vectors in responses and vectors in requests have the same wire format.
    point.vectors.MergeFromString(current.point.vectors.SerializeToString())
    return point


def stored_point(point: grpc.RetrievedPoint) -> StoredPoint:
    """A stored point, from a point that was read with at least its STATE_FIELDS."""
    return StoredPoint(point, payload_from(point.payload, _STATE_FIELDS))


def indexed_state_of(stored: StoredPoint) -> IndexedState:
    """The indexed state of a point's product."""
    clock = stored.fields["clock"]
    # Earlier versions wrote the clock as a structure instead of text.
    return indexed_state_from({**stored.fields, "clock": json.loads(clock) if isinstance(clock, str) else clock})


def dense_vector(vector: Vector) -> grpc.DenseVector:
    """A vector as a message."""
    message: grpc.DenseVector = grpc.DenseVector.FromString(_packed(vector))
    return message


def key_from(fields: Mapping[str, grpc.Value]) -> ProductKey:
    return ProductKey(fields["tenant"].string_value, fields["id"].string_value)


def ids_filter(ids: Iterable[str], guards: Iterable[str]) -> grpc.Filter:
    """Matches the points with one of these ids and one of these guards."""
    matching = guard_filter(guards)
    matching.must.add().has_id.has_id.extend(grpc.PointId(uuid=i) for i in ids)
    return matching


def guard_filter(guards: Iterable[str]) -> grpc.Filter:
    """Matches the points with one of these guards."""
    match = grpc.Match(keywords=grpc.RepeatedStrings(strings=guards))
    return grpc.Filter(must=[grpc.Condition(field=grpc.FieldCondition(key=GUARD, match=match))])


def _point(write: ProductWrite) -> grpc.PointStruct:
    """The point without its vectors."""
    point = grpc.PointStruct()
    _fill(point, write)
    return point


def _fill(point: grpc.PointStruct, write: ProductWrite, current: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Set the id and the payload fields that differ from `current`, the fields that the point already has."""
    identity = point.id.uuid = point_id(write.key)
    derived = {**write.key._asdict(), GUARD: guard_of(identity, write.payload["revision"])}
    if "clock" in write.payload:
        # As text: no query filters on it, and as a structure it costs more than all other fields together.
        derived["clock"] = _COMPACT.encode(write.payload["clock"])
    try:
        fields = {**write.payload, **derived}
        changed = {n: v for n, v in fields.items() if n not in current or not _identical(current[n], v)}
        fill(point.payload, changed)
    except (ValueError, TypeError) as error:  # lone surrogates, integers beyond 64 bits, non-JSON values
        raise InvalidPoint(f"the payload cannot be stored: {error}") from error


def _identical(a: object, b: object) -> bool:
    # 1, 1.0 and True are equal in Python; their texts differ.
    return a == b and repr(a) == repr(b)


def _check(name: str, vector: Vector, space: Space) -> None:
    dim = space.vectors.get(name)
    if dim is None:
        raise InvalidPoint(f"there is no vector {name!r} in the space {space.id}")
    if vector.shape != (dim,):
        raise InvalidPoint(f"the vector {name!r} has shape {vector.shape}, not ({dim},)")
    if not np.isfinite(vector).all():
        raise InvalidPoint(f"the vector {name!r} has values that are not finite")


def _packed(vector: Vector) -> bytes:
    """A DenseVector in wire format: one packed field of little-endian floats.

    Setting the field number by number would block the event loop for tens of milliseconds per batch of long vectors.
    """
    raw = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    header, length = bytearray(b"\x0a"), len(raw)
    while length > 0x7F:
        header.append(length & 0x7F | 0x80)
        length >>= 7
    header.append(length)
    return bytes(header) + raw
