"""What a product is in Qdrant: the id of its point, its payload, its vectors, and the guard of its writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from uuid import UUID, uuid5

import numpy as np
from qdrant_client import grpc
from qdrant_client.conversions.conversion import grpc_to_payload, payload_to_grpc

from catalog.ports import Vector, Write
from catalog.product import Key
from catalog.space import Space
from catalog.state import Payload

# The namespace of the ids of liveshelf's points. A point's id never changes, so neither may this.
NAMESPACE = UUID("4b1c7e0a-5d3f-5f0e-9c52-6c6976657368")

GUARD = "guard"
# What the writing side keeps in a payload for itself; no hit carries it.
INTERNALS = ("clock", "revision", "fingerprint", GUARD)


class InvalidPoint(Exception):
    """A write that no index could take. Its text says why."""


def point_id(key: Key) -> str:
    """The id of a product's point: a UUID of version 5, the same in every process.

    The name is the JSON of [tenant, id], so that no two keys share one, and ASCII, so that every string has one.
    """
    return str(uuid5(NAMESPACE, json.dumps([key.tenant, key.id])))


def guard_of(point: str, revision: str) -> str:
    """A digest that differs for every point and revision, so that one condition can guard a whole batch."""
    return blake2b(f"{point} {revision}".encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def point_of(write: Write, space: Space) -> grpc.PointStruct:
    """The point of a write that replaces it whole. Raises InvalidPoint."""
    named = {name: _checked(name, vector, space) for name, vector in (write.vectors or {}).items()}
    return _point(write, {}, named)


def merged(write: Write, current: grpc.RetrievedPoint) -> grpc.PointStruct:
    """The current point with the fields of a payload-only write. Raises InvalidPoint."""
    output = current.vectors.vectors.vectors
    named = {name: grpc.Vector(dense=_dense(output[name])) for name in output}
    return _point(write, {name: current.payload[name] for name in current.payload}, named)


def dense(vector: Vector) -> grpc.DenseVector:
    """A vector as a message.

    Read from the wire's own form, one packed field of little-endian floats: setting the field number by number holds
    the event loop for tens of milliseconds a batch where vectors are long.
    """
    raw = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    header, left = bytearray(b"\x0a"), len(raw)
    while left > 0x7F:
        header.append(left & 0x7F | 0x80)
        left >>= 7
    header.append(left)
    message: grpc.DenseVector = grpc.DenseVector.FromString(bytes(header) + raw)
    return message


def payload_from(fields: Mapping[str, grpc.Value]) -> Payload:
    payload: Payload = grpc_to_payload(fields)
    return payload


def key_from(fields: Mapping[str, grpc.Value]) -> Key:
    return Key(fields["tenant"].string_value, fields["id"].string_value)


def only_if(guards: Iterable[str]) -> grpc.Filter:
    """Matches the points that carry one of these guards."""
    match = grpc.Match(keywords=grpc.RepeatedStrings(strings=guards))
    return grpc.Filter(must=[grpc.Condition(field=grpc.FieldCondition(key=GUARD, match=match))])


def _point(write: Write, kept: Mapping[str, grpc.Value], vectors: Mapping[str, grpc.Vector]) -> grpc.PointStruct:
    identity = point_id(write.key)
    own = {**write.key._asdict(), GUARD: guard_of(identity, write.payload["revision"])}
    try:
        return grpc.PointStruct(
            id=grpc.PointId(uuid=identity),
            payload={**kept, **payload_to_grpc({**write.payload, **own})},
            vectors=grpc.Vectors(vectors=grpc.NamedVectors(vectors=vectors)),
        )
    except (ValueError, TypeError) as error:  # lone surrogates, integers beyond 64 bits, values JSON does not have
        raise InvalidPoint(f"the payload cannot be stored: {error}") from error


def _checked(name: str, vector: Vector, space: Space) -> grpc.Vector:
    dim = space.vectors.get(name)
    if dim is None:
        raise InvalidPoint(f"there is no vector {name!r} in the space {space.id}")
    if vector.shape != (dim,):
        raise InvalidPoint(f"the vector {name!r} has shape {vector.shape} where ({dim},) belongs")
    if not np.isfinite(vector).all():
        raise InvalidPoint(f"the vector {name!r} has values that are not finite")
    return grpc.Vector(dense=dense(vector))


def _dense(vector: grpc.VectorOutput) -> grpc.DenseVector:
    # Servers answer in the first form or in the one it replaced.
    return vector.dense if vector.HasField("dense") else grpc.DenseVector(data=vector.data)
