"""The calls that read points. Each takes the store and a request and returns the response; several may run at once.

`timeout` is accepted without effect: the client's own deadline ends a call that takes too long.
"""

from __future__ import annotations

from collections.abc import Sequence

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.cache.filter_verdicts import verdict_condition
from embedded.engine.cache.hit_bytes import cacheable_fields
from embedded.engine.cache.points import MAX_IDS
from embedded.engine.codec.filters import optional_filter
from embedded.engine.codec.points import fill_id, fill_record, fill_scored, to_id, to_ids, with_payload, with_vectors
from embedded.engine.codec.queries import order_by, to_query
from embedded.engine.codec.status import invalid, only
from embedded.engine.codec.wire import PackedResponse
from embedded.engine.store import Collection, Store


def get(store: Store, request: pb.GetPoints) -> pb.GetResponse | PackedResponse:
    """The points of the given ids that exist."""
    only(request, "collection_name", "ids", "with_payload", "with_vectors", "timeout")
    collection, ids = store.get(request.collection_name), to_ids(request.ids)
    payload, vectors = with_payload(request.with_payload, default=True), with_vectors(request.with_vectors)
    # Searches exclude some fields. Other reads come before writes, whose points are about to change.
    if request.with_payload.HasField("exclude") and not vectors and 0 < len(ids) <= MAX_IDS:
        return PackedResponse(collection.point_cache.encode(collection.shard, ids, request.with_payload))
    response = pb.GetResponse()
    for record in collection.shard.retrieve(ids, payload, vectors):
        fill_record(response.result.add(), record)
    return response


def scroll(store: Store, request: pb.ScrollPoints) -> pb.ScrollResponse:
    """A page of points ordered by id or by an indexed field, and the start of the next page."""
    only(
        request, "collection_name", "filter", "offset", "limit", "with_payload", "with_vectors", "order_by", "timeout"
    )  # fmt: skip
    if request.HasField("limit") and not request.limit:
        raise invalid("limit must be at least 1")
    if request.HasField("order_by") and request.HasField("offset"):
        raise invalid("Cannot use an `offset` when using `order_by`. Use `order_by.start_from` instead")
    scroll_request = edge.ScrollRequest(
        offset=to_id(request.offset) if request.HasField("offset") else None,
        limit=request.limit or 10,
        filter=optional_filter(request),
        with_payload=with_payload(request.with_payload, default=True),
        with_vector=with_vectors(request.with_vectors),
        order_by=order_by(request.order_by) if request.HasField("order_by") else None,
    )
    records, next_offset = store.get(request.collection_name).shard.scroll(scroll_request)
    response = pb.ScrollResponse()
    for record in records:
        fill_record(response.result.add(), record)
    if next_offset is not None:
        fill_id(response.next_page_offset, next_offset)
    return response


def count(store: Store, request: pb.CountPoints) -> pb.CountResponse:
    """The number of points that match."""
    only(request, "collection_name", "filter", "exact", "timeout")
    shard = store.get(request.collection_name).shard
    exact = request.exact if request.HasField("exact") else True
    matches = shard.count(edge.CountRequest(exact=exact, filter=optional_filter(request)))
    return pb.CountResponse(result=pb.CountResult(count=matches))


def facet(store: Store, request: pb.FacetCounts) -> pb.FacetResponse:
    """The number of points for each value of an indexed field."""
    only(request, "collection_name", "key", "filter", "limit", "exact", "timeout")
    facet_request = edge.FacetRequest(
        key=request.key,
        limit=request.limit if request.HasField("limit") else 10,
        exact=request.exact,
        filter=optional_filter(request),
    )
    response = pb.FacetResponse()
    for hit in store.get(request.collection_name).shard.facet(facet_request).hits:
        out = response.hits.add(count=hit.count)
        if isinstance(hit.value, bool):
            out.value.bool_value = hit.value
        elif isinstance(hit.value, int):
            out.value.integer_value = hit.value
        else:
            out.value.string_value = hit.value
    return response


def query(store: Store, request: pb.QueryPoints) -> pb.QueryResponse | PackedResponse:
    """The best points for one query."""
    collection = store.get(request.collection_name)
    if (fields := cacheable_fields(request)) is not None:
        return PackedResponse(_encoded(collection, [request], [fields])[0])
    response = pb.QueryResponse()
    for scored in collection.shard.query(to_query(collection, request)):
        fill_scored(response.result.add(), scored)
    return response


def query_batch(store: Store, request: pb.QueryBatchPoints) -> pb.QueryBatchResponse | PackedResponse:
    """The best points for each of several queries, in their order."""
    only(request, "collection_name", "query_points", "timeout")
    collection = store.get(request.collection_name)
    fields = [names for query in request.query_points if (names := cacheable_fields(query)) is not None]
    if len(fields) == len(request.query_points):
        return PackedResponse.batch(_encoded(collection, request.query_points, fields))
    queries = [to_query(collection, query) for query in request.query_points]
    response = pb.QueryBatchResponse()
    for hits in collection.shard.query_batch(edge.QueryBatchRequest(queries)):
        batch = response.result.add()
        for scored in hits:
            fill_scored(batch.result.add(), scored)
    return response


def _encoded(
    collection: Collection, requests: Sequence[pb.QueryPoints], fields: Sequence[Sequence[str]]
) -> list[bytes]:
    """The encoded hits of several queries, each with these fields of their payload."""
    shard, cache = collection.shard, collection.hit_cache
    expects_pass = cache.verdicts.expects_pass
    unapplied = [
        request.filter if verdict_condition(request) and expects_pass(request.filter) else None for request in requests
    ]
    queries = [
        to_query(collection, request, payload=False, filtered=condition is None)
        for request, condition in zip(requests, unapplied, strict=True)
    ]
    results = []
    batches = shard.query_batch(edge.QueryBatchRequest(queries))
    for request, names, condition, hits in zip(requests, fields, unapplied, batches, strict=True):
        encoded = cache.encode(shard, hits, names, condition)
        if encoded is None:
            encoded = cache.encode(shard, shard.query(to_query(collection, request, payload=False)), names)
        results.append(encoded or b"")
    return results
