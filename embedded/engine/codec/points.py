"""Points, ids and vectors: protobuf <-> the engine's own."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.codec.bm25 import bm25
from embedded.engine.codec.payload import fill_payload, to_payload
from embedded.engine.codec.status import invalid, only, unsupported, variant

PointId = int | uuid.UUID
# Vector names to dimensions; None for a sparse vector. The unnamed vector is "".
Dimensions = Mapping[str, int | None]


def to_id(message: pb.PointId) -> PointId:
    """A point's id. Refuses an id that is neither a number nor a UUID."""
    if variant(message, "point_id_options") == "num":
        return message.num
    try:
        return uuid.UUID(message.uuid)
    except ValueError:
        raise invalid(f"unable to parse UUID: {message.uuid!r}") from None


def to_ids(messages: Iterable[pb.PointId]) -> list[Any]:
    return [to_id(message) for message in messages]


def fill_id(out: pb.PointId, point_id: Any) -> None:
    if isinstance(point_id, int):
        out.num = point_id
    else:
        out.uuid = str(point_id)


def to_points(messages: Iterable[pb.PointStruct], dimensions: Dimensions) -> list[edge.Point]:
    """Points for an upsert, all checked before any reaches the engine, so that a bad one changes nothing."""
    return [_to_point(message, dimensions) for message in messages]


def _to_point(message: pb.PointStruct, dimensions: Dimensions) -> edge.Point:
    point_id = to_id(message.id)
    return edge.Point(point_id, to_vectors(message.vectors, dimensions, point_id), to_payload(message.payload))


def to_point_vectors(messages: Iterable[pb.PointVectors], dimensions: Dimensions) -> list[edge.PointVectors]:
    """Vectors for existing points, checked as those of an upsert."""
    vectors = []
    for message in messages:
        point_id = to_id(message.id)
        vectors.append(edge.PointVectors(point_id, to_vectors(message.vectors, dimensions, point_id)))
    return vectors


def to_vectors(message: pb.Vectors, dimensions: Dimensions, point_id: PointId) -> Any:
    """One point's vectors: a dict by name, or a list of floats for the unnamed one."""
    kind = message.WhichOneof("vectors_options")
    if kind is None:
        return {}
    if kind == "vector":
        return _to_vector(message.vector, "", dimensions, point_id)
    named = message.vectors.vectors
    return {name: _to_vector(vector, name, dimensions, point_id) for name, vector in named.items()}


def _to_vector(message: pb.Vector, name: str, dimensions: Dimensions, point_id: PointId) -> Any:
    if name not in dimensions:
        raise invalid(f"Not existing vector name error: {name} (point {point_id})")
    dimension = dimensions[name]
    kind = message.WhichOneof("vector")
    if kind is None:
        only(message, "data", "indices")  # the form of clients before 1.16
        if message.HasField("indices"):
            return _to_sparse(message.indices.data, message.data, name, dimension)
        return _to_dense(pb.DenseVector(data=message.data), name, dimension, point_id)
    if kind == "dense":
        return _to_dense(message.dense, name, dimension, point_id)
    if kind == "sparse":
        return _to_sparse(message.sparse.indices, message.sparse.values, name, dimension)
    if kind == "document":
        return embed(message.document, name, dimension).embed_document(message.document.text)
    raise unsupported(f"Vector.{kind}")


def _to_dense(message: pb.DenseVector, name: str, dimension: int | None, point_id: PointId) -> list[float]:
    if dimension is None:
        raise invalid(f"vector {name!r} is sparse, and point {point_id} has a dense one")
    size = len(message.data)
    if size != dimension:
        raise invalid(
            f"Vector dimension error: expected dim: {dimension}, got {size} (vector {name!r}, point {point_id})"
        )
    only(message, "data")
    # The floats are the tail of the serialized message. This takes a third of the time of reading them one by one.
    floats: list[float] = np.frombuffer(message.SerializeToString()[-4 * size :], dtype="<f4").tolist()
    return floats


def _to_sparse(indices: Any, values: Any, name: str, dimension: int | None) -> edge.SparseVector:
    if dimension is not None:
        raise invalid(f"vector {name!r} is dense, and the given one is sparse")
    return edge.SparseVector(list(indices), list(values))


def embed(document: pb.Document, name: str, dimension: int | None) -> edge.Bm25:
    """The BM25 embedder of a text that is given in place of a sparse vector."""
    if document.model.lower() != "qdrant/bm25" or dimension is not None:
        raise unsupported(f"Document.model {document.model!r} for vector {name!r}")
    only(document, "text", "model", "options")
    return bm25(document.options)


def fill_vectors(out: pb.VectorsOutput, vectors: Any) -> None:
    """Write the engine's vectors: a dict by name, or the unnamed one alone."""
    if isinstance(vectors, dict):
        out.vectors.SetInParent()
        for name, vector in vectors.items():
            _fill_vector(out.vectors.vectors[name], vector)
    else:
        _fill_vector(out.vector, vectors)


def _fill_vector(out: pb.VectorOutput, vector: Any) -> None:
    if isinstance(vector, edge.SparseVector):
        out.sparse.indices.extend(vector.indices)
        out.sparse.values.extend(vector.values)
    else:
        out.dense.data.extend(vector)


def fill_record(out: pb.RetrievedPoint | pb.ScoredPoint, record: Any) -> None:
    """Write the common fields of a retrieved and a scored point."""
    fill_id(out.id, record.id)
    fill_payload(out.payload, record.payload)
    if record.vector is not None:
        fill_vectors(out.vectors, record.vector)
    order = record.order_value
    if isinstance(order, int):
        out.order_value.int = order
    elif order is not None:
        out.order_value.float = order


def fill_scored(out: pb.ScoredPoint, scored: edge.ScoredPoint) -> None:
    fill_record(out, scored)
    out.score = scored.score
    out.version = scored.version


def with_payload(message: pb.WithPayloadSelector, default: bool) -> Any:
    """The payload fields to return; `default` if the request does not say."""
    kind = message.WhichOneof("selector_options")
    if kind == "include":
        return edge.PayloadSelector.Include(list(message.include.fields))
    if kind == "exclude":
        return edge.PayloadSelector.Exclude(list(message.exclude.fields))
    return message.enable if kind == "enable" else default


def with_vectors(message: pb.WithVectorsSelector) -> bool | list[str]:
    """The vectors to return; none if the request does not say."""
    if message.WhichOneof("selector_options") == "include":
        return list(message.include.names)
    return message.enable
