"""What a product is in Qdrant: the id of its point, its payload, its vectors, and the guard of its writes."""

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
from catalog.domain.state import KNOWN_FIELDS, IndexedState, Payload, known_from
from catalog.ports import ProductWrite, Vector
from indexer.qdrant.bm25 import LEXICAL, write_document
from indexer.qdrant.payload import fill, payload_from

# The namespace of the ids of liveshelf's points. A point's id never changes, so neither may this.
NAMESPACE = UUID("4b1c7e0a-5d3f-5f0e-9c52-6c6976657368")

GUARD = "guard"
# What the writing side keeps in a payload for itself; no hit carries it.
INTERNALS = ("clock", "revision", "fingerprint", GUARD)


_KNOWN = frozenset(KNOWN_FIELDS)
_COMPACT = json.JSONEncoder(separators=(",", ":"))


class InvalidPoint(Exception):
    """A write that no index could take. Its text says why."""


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """A whole point as it was read, and its fields of KNOWN_FIELDS as plain Python."""

    point: grpc.RetrievedPoint
    fields: Payload


def point_id(key: ProductKey) -> str:
    """The id of a product's point: a UUID of version 5, the same in every process.

    The name is the JSON of [tenant, id], so that no two keys share one, and ASCII, so that every string has one.
    """
    # As uuid5 has it, which takes four times as long: a batch asks for hundreds of ids, several times.
    name = f"[{quoted(key.tenant)}, {quoted(key.id)}]".encode()
    h = sha1(NAMESPACE.bytes + name, usedforsecurity=False).hexdigest()
    return f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:32]}"


def guard_of(point: str, revision: str) -> str:
    """A digest that differs for every point and revision, so that one condition can guard a whole batch."""
    return blake2b(f"{point} {revision}".encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def point_of(write: ProductWrite, space: Space) -> grpc.PointStruct:
    """The point of a write that replaces it whole. Raises InvalidPoint."""
    point = _point(write)
    # In place, here and below: a message given to another's constructor is copied, with all its floats.
    named = point.vectors.vectors.vectors
    point.vectors.vectors.SetInParent()
    for name, vector in (write.vectors or {}).items():
        _check(name, vector, space)
        named[name].dense.MergeFromString(_packed(vector))
    title = write.payload.get("title")
    if title and write.payload["live"]:
        write_document(named[LEXICAL].document, title)
    return point


def merged(write: ProductWrite, current: StoredPoint) -> grpc.PointStruct:
    """The current point with the fields of a payload-only write. Raises InvalidPoint."""
    point = grpc.PointStruct()
    point.payload.MergeFrom(current.point.payload)
    _fill(point, write, over=current.fields)
    # Vectors that were read and vectors to be written are one message on the wire.
    point.vectors.MergeFromString(current.point.vectors.SerializeToString())
    return point


def stored_point(point: grpc.RetrievedPoint) -> StoredPoint:
    """What was read of a point, whose payload has at least the fields of KNOWN_FIELDS."""
    return StoredPoint(point, payload_from(point.payload, _KNOWN))


def known_of(there: StoredPoint) -> IndexedState:
    """What a point says of its product."""
    clock = there.fields["clock"]
    # Points written before the clock was kept as text have it as a structure.
    return known_from({**there.fields, "clock": json.loads(clock) if isinstance(clock, str) else clock})


def dense(vector: Vector) -> grpc.DenseVector:
    """A vector as a message."""
    message: grpc.DenseVector = grpc.DenseVector.FromString(_packed(vector))
    return message


def key_from(fields: Mapping[str, grpc.Value]) -> ProductKey:
    return ProductKey(fields["tenant"].string_value, fields["id"].string_value)


def ids_filter(ids: Iterable[str], guards: Iterable[str]) -> grpc.Filter:
    """Matches the points of these ids that carry one of these guards."""
    found = guard_filter(guards)
    found.must.add().has_id.has_id.extend(grpc.PointId(uuid=i) for i in ids)
    return found


def guard_filter(guards: Iterable[str]) -> grpc.Filter:
    """Matches the points that carry one of these guards."""
    match = grpc.Match(keywords=grpc.RepeatedStrings(strings=guards))
    return grpc.Filter(must=[grpc.Condition(field=grpc.FieldCondition(key=GUARD, match=match))])


def _point(write: ProductWrite) -> grpc.PointStruct:
    """The point but for its vectors."""
    point = grpc.PointStruct()
    _fill(point, write)
    return point


def _fill(point: grpc.PointStruct, write: ProductWrite, over: Mapping[str, Any] = MappingProxyType({})) -> None:
    """The id, and the fields of the payload, over what the point has of them: those that are not so already."""
    identity = point.id.uuid = point_id(write.key)
    own = {**write.key._asdict(), GUARD: guard_of(identity, write.payload["revision"])}
    if "clock" in write.payload:
        # Nobody filters on it, and as a structure it costs index and wire more than all the other fields together.
        own["clock"] = _COMPACT.encode(write.payload["clock"])
    try:
        fields = {**write.payload, **own}
        fill(point.payload, {n: v for n, v in fields.items() if n not in over or not _same(over[n], v)})
    except (ValueError, TypeError) as error:  # lone surrogates, integers beyond 64 bits, values JSON does not have
        raise InvalidPoint(f"the payload cannot be stored: {error}") from error


def _same(one: object, other: object) -> bool:
    # To Python 1, 1.0 and True are equal; their texts are not.
    return one == other and repr(one) == repr(other)


def _check(name: str, vector: Vector, space: Space) -> None:
    dim = space.vectors.get(name)
    if dim is None:
        raise InvalidPoint(f"there is no vector {name!r} in the space {space.id}")
    if vector.shape != (dim,):
        raise InvalidPoint(f"the vector {name!r} has shape {vector.shape} where ({dim},) belongs")
    if not np.isfinite(vector).all():
        raise InvalidPoint(f"the vector {name!r} has values that are not finite")


def _packed(vector: Vector) -> bytes:
    """A DenseVector in the wire's own form, one packed field of little-endian floats.

    Setting the field number by number holds the event loop for tens of milliseconds a batch where vectors are long.
    """
    raw = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    header, left = bytearray(b"\x0a"), len(raw)
    while left > 0x7F:
        header.append(left & 0x7F | 0x80)
        left >>= 7
    header.append(left)
    return bytes(header) + raw
