"""Queries: protobuf -> the engine's own. Unsupported fields are refused by name."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.codec.filters import optional_filter, to_filter
from embedded.engine.codec.points import PointId, embed, to_id, with_payload, with_vectors
from embedded.engine.codec.status import invalid, missing, only, unsupported, variant
from embedded.engine.store import Collection

_DEFAULT_LIMIT = 10
# Rescoring: so many of the nearest by four bits are compared again by their full vectors, at least _MIN_RESCORED and at
# least _OVERSAMPLING times the limit. Above _MAX_RESCORED, reading them costs more than comparing every vector.
_MIN_RESCORED = 400
_OVERSAMPLING = 2.0
_MAX_RESCORED = 4000


def to_query(
    collection: Collection, request: pb.QueryPoints, *, payload: bool = True, filtered: bool = True
) -> edge.QueryRequest:
    """A query with its prefetches. A point given by id in place of a vector is read here, and excluded from the hits.

    If `payload` is false, hits have none, whatever the request says. If `filtered` is false, the request's filter is
    omitted.
    """
    only(
        request, "collection_name", "prefetch", "query", "using", "filter", "params", "score_threshold", "limit",
        "offset", "with_vectors", "with_payload", "timeout",
    )  # fmt: skip
    return edge.QueryRequest(
        limit=_limit(request),
        offset=request.offset,
        query=_query(collection, request),
        prefetches=[_prefetch(collection, prefetch) for prefetch in request.prefetch] or None,
        with_vector=with_vectors(request.with_vectors),
        with_payload=payload and with_payload(request.with_payload, default=False),
        filter=_filter(request) if filtered else None,
        score_threshold=request.score_threshold if request.HasField("score_threshold") else None,
        params=_params(request.params, limit=_limit(request) + request.offset),
    )


def _prefetch(collection: Collection, message: pb.PrefetchQuery) -> edge.Prefetch:
    only(message, "prefetch", "query", "using", "filter", "params", "score_threshold", "limit")
    return edge.Prefetch(
        limit=_limit(message),
        query=_query(collection, message),
        prefetches=[_prefetch(collection, prefetch) for prefetch in message.prefetch] or None,
        params=_params(message.params, limit=_limit(message)),
        filter=_filter(message),
        score_threshold=message.score_threshold if message.HasField("score_threshold") else None,
    )


def _limit(message: Any) -> int:
    limit: int = message.limit if message.HasField("limit") else _DEFAULT_LIMIT
    return limit


def _query(collection: Collection, request: Any) -> Any:
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
                raise invalid(f"vector {name!r} is sparse, and the query has a dense one")
            size = len(message.dense.data)
            if size != dimension:
                raise invalid(f"Vector dimension error: expected dim: {dimension}, got {size} (vector {name!r})")
            return list(message.dense.data)
        case "sparse":
            if dimension is not None:
                raise invalid(f"vector {name!r} is dense, and the query has a sparse one")
            return edge.SparseVector(list(message.sparse.indices), list(message.sparse.values))
        case "id":
            return _vector_of(collection, to_id(message.id), name)
        case "document":
            return embed(message.document, name, dimension).embed_query(message.document.text)
        case kind:
            raise unsupported(f"VectorInput.{kind}")


def _vector_of(collection: Collection, point_id: PointId, name: str) -> Any:
    for record in collection.shard.retrieve([point_id], False, [name]):
        vector = record.vector.get(name) if isinstance(record.vector, dict) else record.vector
        if vector is not None:
            return vector
    raise missing(f"No point with id {point_id} found that has the vector {name!r}")


def _filter(request: Any) -> edge.Filter | None:
    condition = optional_filter(request)
    nearest = request.query.nearest
    if not nearest.HasField("id"):
        return condition
    itself = edge.HasIdCondition({to_id(nearest.id)})
    return edge.Filter(must=[to_filter(request.filter)] if condition else None, must_not=[itself])


def _params(message: pb.SearchParams, *, limit: int) -> edge.SearchParams:
    """The parameters of a search for `limit` hits."""
    only(message, "hnsw_ef", "exact", "quantization", "indexed_only")
    quantization = _default_quantization(limit)
    if message.HasField("quantization"):
        params = message.quantization
        only(params, "ignore", "rescore", "oversampling")
        quantization = edge.QuantizationSearchParams(
            ignore=params.ignore,
            rescore=params.rescore if params.HasField("rescore") else None,
            oversampling=params.oversampling if params.HasField("oversampling") else None,
        )
    return edge.SearchParams(
        hnsw_ef=message.hnsw_ef if message.HasField("hnsw_ef") else None,
        exact=message.exact,
        quantization=quantization,
        indexed_only=message.indexed_only,
    )


def _default_quantization(limit: int) -> edge.QuantizationSearchParams:
    """Search parameters of the default quantization, with rescoring that makes its loss of precision invisible."""
    return edge.QuantizationSearchParams(
        ignore=limit > _MAX_RESCORED,
        rescore=True,
        oversampling=max(_OVERSAMPLING, _MIN_RESCORED / max(1, limit)),
    )


def order_by(message: pb.OrderBy) -> edge.OrderBy:
    """An order by an indexed field, from a start value if the request has one."""
    only(message, "key", "direction", "start_from")
    start: Any = None
    if message.HasField("start_from"):
        kind = variant(message.start_from, "value")
        start = getattr(message.start_from, kind)
        if kind == "timestamp":
            start = start.ToJsonString()
    direction = edge.Direction.Desc if message.direction == pb.Desc else edge.Direction.Asc
    return edge.OrderBy(message.key, direction, start)
