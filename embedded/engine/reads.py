"""The calls that read points. Each takes the store and a request and returns the response; several may run at once.

`timeout` is taken and changes nothing: the client's own deadline ends a call that takes too long.
"""

from __future__ import annotations

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.brief import Packed, brief_fields
from embedded.engine.filters import optional_filter
from embedded.engine.points import fill_id, fill_record, fill_scored, to_id, to_ids, with_payload, with_vectors
from embedded.engine.queries import order_by, to_query
from embedded.engine.refusals import invalid, only
from embedded.engine.store import Store


def get(store: Store, request: pb.GetPoints) -> pb.GetResponse:
    """The points of the given ids that exist."""
    only(request, "collection_name", "ids", "with_payload", "with_vectors", "timeout")
    shard = store.get(request.collection_name).shard
    payload, vectors = with_payload(request.with_payload, default=True), with_vectors(request.with_vectors)
    response = pb.GetResponse()
    for record in shard.retrieve(to_ids(request.ids), payload, vectors):
        fill_record(response.result.add(), record)
    return response


def scroll(store: Store, request: pb.ScrollPoints) -> pb.ScrollResponse:
    """A page of points in the order of their ids, or of an indexed field, and where the next page starts."""
    only(
        request, "collection_name", "filter", "offset", "limit", "with_payload", "with_vectors", "order_by", "timeout"
    )  # fmt: skip
    if request.HasField("limit") and not request.limit:
        raise invalid("limit must be at least 1")
    if request.HasField("order_by") and request.HasField("offset"):
        raise invalid("Cannot use an `offset` when using `order_by`. Use `order_by.start_from` instead")
    asked = edge.ScrollRequest(
        offset=to_id(request.offset) if request.HasField("offset") else None,
        limit=request.limit or 10,
        filter=optional_filter(request),
        with_payload=with_payload(request.with_payload, default=True),
        with_vector=with_vectors(request.with_vectors),
        order_by=order_by(request.order_by) if request.HasField("order_by") else None,
    )
    records, following = store.get(request.collection_name).shard.scroll(asked)
    response = pb.ScrollResponse()
    for record in records:
        fill_record(response.result.add(), record)
    if following is not None:
        fill_id(response.next_page_offset, following)
    return response


def count(store: Store, request: pb.CountPoints) -> pb.CountResponse:
    """How many points match."""
    only(request, "collection_name", "filter", "exact", "timeout")
    shard = store.get(request.collection_name).shard
    exact = request.exact if request.HasField("exact") else True
    found = shard.count(edge.CountRequest(exact=exact, filter=optional_filter(request)))
    return pb.CountResponse(result=pb.CountResult(count=found))


def facet(store: Store, request: pb.FacetCounts) -> pb.FacetResponse:
    """How many points there are for each value of an indexed field."""
    only(request, "collection_name", "key", "filter", "limit", "exact", "timeout")
    asked = edge.FacetRequest(
        key=request.key,
        limit=request.limit if request.HasField("limit") else 10,
        exact=request.exact,
        filter=optional_filter(request),
    )
    response = pb.FacetResponse()
    for hit in store.get(request.collection_name).shard.facet(asked).hits:
        out = response.hits.add(count=hit.count)
        if isinstance(hit.value, bool):
            out.value.bool_value = hit.value
        elif isinstance(hit.value, int):
            out.value.integer_value = hit.value
        else:
            out.value.string_value = hit.value
    return response


def query(store: Store, request: pb.QueryPoints) -> pb.QueryResponse | Packed:
    """The best points for one query."""
    collection = store.get(request.collection_name)
    fields = brief_fields(request)
    found = collection.shard.query(to_query(collection, request, payload=fields is None))
    if fields is not None:
        return Packed(collection.brief.hits(collection.shard, found, fields))
    response = pb.QueryResponse()
    for scored in found:
        fill_scored(response.result.add(), scored)
    return response


def query_batch(store: Store, request: pb.QueryBatchPoints) -> pb.QueryBatchResponse | Packed:
    """The best points for each of several queries, in their order."""
    only(request, "collection_name", "query_points", "timeout")
    collection = store.get(request.collection_name)
    fields = [named for each in request.query_points if (named := brief_fields(each)) is not None]
    brief = len(fields) == len(request.query_points)
    queries = [to_query(collection, each, payload=not brief) for each in request.query_points]
    batch = collection.shard.query_batch(edge.QueryBatchRequest(queries))
    if brief:
        hits = collection.brief.hits
        return Packed.batch(hits(collection.shard, *each) for each in zip(batch, fields, strict=True))
    response = pb.QueryBatchResponse()
    for found in batch:
        batch = response.result.add()
        for scored in found:
            fill_scored(batch.result.add(), scored)
    return response
