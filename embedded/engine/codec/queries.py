"""Queries: protobuf -> the engine's own, whole or refused by name."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.codec.filters import optional_filter, to_filter
from embedded.engine.codec.points import PointId, embed, to_id, with_payload, with_vectors
from embedded.engine.codec.status import invalid, missing, only, unsupported, variant
from embedded.engine.store import Collection

_LIMIT = 10
# How many are compared again as they are, of those that look nearest in four bits: never less than so many, or so many
# times what is asked for. Beyond the last number reading them costs more than comparing with every vector.
_LEAST_RESCORED = 400
_RESCORED = 2.0
_MOST_RESCORED = 4000


def to_query(
    collection: Collection, request: pb.QueryPoints, *, payload: bool = True, filtered: bool = True
) -> edge.QueryRequest:
    """A query with its prefetches. A point's id in place of a vector is looked up here, and left out of the hits.

    Without `payload` hits have none, whatever the request says; without `filtered` its filter is left out.
    """
    only(
        request, "collection_name", "prefetch", "query", "using", "filter", "params", "score_threshold", "limit",
        "offset", "with_vectors", "with_payload", "timeout",
    )  # fmt: skip
    return edge.QueryRequest(
        limit=_limit(request),
        offset=request.offset,
        query=_scoring(collection, request),
        prefetches=[_prefetch(collection, each) for each in request.prefetch] or None,
        with_vector=with_vectors(request.with_vectors),
        with_payload=payload and with_payload(request.with_payload, default=False),
        filter=_filter(request) if filtered else None,
        score_threshold=request.score_threshold if request.HasField("score_threshold") else None,
        params=_params(request.params, most=_limit(request) + request.offset),
    )


def _prefetch(collection: Collection, message: pb.PrefetchQuery) -> edge.Prefetch:
    only(message, "prefetch", "query", "using", "filter", "params", "score_threshold", "limit")
    return edge.Prefetch(
        limit=_limit(message),
        query=_scoring(collection, message),
        prefetches=[_prefetch(collection, each) for each in message.prefetch] or None,
        params=_params(message.params, most=_limit(message)),
        filter=_filter(message),
        score_threshold=message.score_threshold if message.HasField("score_threshold") else None,
    )


def _limit(message: Any) -> int:
    limit: int = message.limit if message.HasField("limit") else _LIMIT
    return limit


def _scoring(collection: Collection, request: Any) -> Any:
    if not request.HasField("query"):
        return None
    query: pb.Query = request.query
    match variant(query, "variant"):
        case "nearest":
            return edge.Query.Nearest(_vector(collection, query.nearest, request.using), request.using or None)
        case "order_by":
            return order_by(query.order_by)
        case "fusion":
            return edge.Fusion.Dbsf() if query.fusion == pb.DBSF else edge.Fusion.Rrf(k=2)
        case "rrf":
            rrf = query.rrf
            return edge.Fusion.Rrf(k=rrf.k if rrf.HasField("k") else 2, weights=list(rrf.weights) or None)
        case "sample":
            return edge.Sample.Random
        case kind:
            raise unsupported(f"Query.{kind}")


def _vector(collection: Collection, message: pb.VectorInput, name: str) -> Any:
    if name not in collection.dimensions:
        raise invalid(f"Not existing vector name error: {name}")
    dimension = collection.dimensions[name]
    match variant(message, "variant"):
        case "dense":
            if dimension is None:
                raise invalid(f"vector {name!r} is sparse, and the query brings a dense one")
            got = len(message.dense.data)
            if got != dimension:
                raise invalid(f"Vector dimension error: expected dim: {dimension}, got {got} (vector {name!r})")
            return list(message.dense.data)
        case "sparse":
            if dimension is not None:
                raise invalid(f"vector {name!r} is dense, and the query brings a sparse one")
            return edge.SparseVector(list(message.sparse.indices), list(message.sparse.values))
        case "id":
            return _looked_up(collection, to_id(message.id), name)
        case "document":
            return embed(message.document, name, dimension).embed_query(message.document.text)
        case kind:
            raise unsupported(f"VectorInput.{kind}")


def _looked_up(collection: Collection, point_id: PointId, name: str) -> Any:
    for record in collection.shard.retrieve([point_id], False, [name]):
        vector = record.vector.get(name) if isinstance(record.vector, dict) else record.vector
        if vector is not None:
            return vector
    raise missing(f"No point with id {point_id} found that has the vector {name!r}")


def _filter(request: Any) -> edge.Filter | None:
    asked = optional_filter(request)
    nearest = request.query.nearest
    if not nearest.HasField("id"):
        return asked
    itself = edge.HasIdCondition({to_id(nearest.id)})
    return edge.Filter(must=[to_filter(request.filter)] if asked else None, must_not=[itself])


def _params(message: pb.SearchParams, *, most: int) -> edge.SearchParams:
    """The parameters of a search for the `most` best."""
    only(message, "hnsw_ef", "exact", "quantization", "indexed_only")
    quantization = _own_quantization(most)
    if message.HasField("quantization"):
        asked = message.quantization
        only(asked, "ignore", "rescore", "oversampling")
        quantization = edge.QuantizationSearchParams(
            ignore=asked.ignore,
            rescore=asked.rescore if asked.HasField("rescore") else None,
            oversampling=asked.oversampling if asked.HasField("oversampling") else None,
        )
    return edge.SearchParams(
        hnsw_ef=message.hnsw_ef if message.HasField("hnsw_ef") else None,
        exact=message.exact,
        quantization=quantization,
        indexed_only=message.indexed_only,
    )


def _own_quantization(most: int) -> edge.QuantizationSearchParams:
    """How the bits that the engine keeps for itself are searched, so that nobody sees that it does."""
    return edge.QuantizationSearchParams(
        ignore=most > _MOST_RESCORED,
        rescore=True,
        oversampling=max(_RESCORED, _LEAST_RESCORED / max(1, most)),
    )


def order_by(message: pb.OrderBy) -> edge.OrderBy:
    """An ordering by an indexed field, from a value on if the request gives one."""
    only(message, "key", "direction", "start_from")
    start: Any = None
    if message.HasField("start_from"):
        kind = variant(message.start_from, "value")
        start = getattr(message.start_from, kind)
        if kind == "timestamp":
            start = start.ToJsonString()
    direction = edge.Direction.Desc if message.direction == pb.Desc else edge.Direction.Asc
    return edge.OrderBy(message.key, direction, start)
