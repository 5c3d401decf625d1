"""The calls that change points. Each takes the store and a request and returns the response; one runs at a time.

Every write is applied before it is answered, also where the client does not wait: `wait` only decides what the answer
is called. `ordering` and `timeout` are taken and change nothing: on one machine every ordering is the strongest, and
a write is over in milliseconds or waits for its turn under the client's own deadline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.filters import optional_filter, to_filter
from embedded.engine.indexes import to_schema
from embedded.engine.points import to_ids, to_point_vectors, to_points
from embedded.engine.refusals import invalid, only, unspoken, variant
from embedded.engine.store import Collection, Store
from embedded.engine.values import to_payload

_COMMON = ("collection_name", "wait", "ordering", "timeout")
_MODES = {
    pb.Upsert: edge.UpdateMode.Upsert,
    pb.InsertOnly: edge.UpdateMode.InsertOnly,
    pb.UpdateOnly: edge.UpdateMode.UpdateOnly,
}

_Operation = Callable[[Collection, Any], edge.UpdateOperation]


def _write(operation: _Operation, *fields: str) -> Callable[[Store, Any], pb.PointsOperationResponse]:
    def call(store: Store, request: Any) -> pb.PointsOperationResponse:
        only(request, *_COMMON, *fields)
        collection = store.get(request.collection_name)
        collection.shard.update(operation(collection, request))
        return pb.PointsOperationResponse(result=_result(request))

    return call


def _result(request: Any) -> pb.UpdateResult:
    return pb.UpdateResult(status=pb.Completed if request.wait else pb.Acknowledged)


def _upsert(collection: Collection, request: Any) -> edge.UpdateOperation:
    mode = _MODES.get(request.update_mode)
    if mode is None:
        raise unspoken(f"UpdateMode {request.update_mode}")
    points = to_points(request.points, collection.dimensions)
    if not points:
        raise invalid("Empty update request")
    return edge.UpdateOperation.upsert_points(points, optional_filter(request, "update_filter"), mode)


def _update_vectors(collection: Collection, request: Any) -> edge.UpdateOperation:
    vectors = to_point_vectors(request.points, collection.dimensions)
    return edge.UpdateOperation.update_vectors(vectors, optional_filter(request, "update_filter"))


def _selected(selector: pb.PointsSelector, by_ids: Any, by_filter: Any, *arguments: Any) -> edge.UpdateOperation:
    """The operation on the points selected, by their ids or by a filter."""
    if variant(selector, "points_selector_one_of") == "points":
        operation: edge.UpdateOperation = by_ids(to_ids(selector.points.ids), *arguments)
    else:
        operation = by_filter(to_filter(selector.filter), *arguments)
    return operation


def _set_payload(_: Collection, request: Any) -> edge.UpdateOperation:
    key = request.key if request.HasField("key") else None
    selector, payload = request.points_selector, to_payload(request.payload)
    make = edge.UpdateOperation
    return _selected(selector, make.set_payload, make.set_payload_by_filter, payload, key)


def _overwrite_payload(_: Collection, request: Any) -> edge.UpdateOperation:
    if request.HasField("key"):
        raise unspoken("SetPayloadPoints.key in OverwritePayload")
    make = edge.UpdateOperation
    payload = to_payload(request.payload)
    return _selected(request.points_selector, make.overwrite_payload, make.overwrite_payload_by_filter, payload)


def _delete_payload(_: Collection, request: Any) -> edge.UpdateOperation:
    make = edge.UpdateOperation
    return _selected(request.points_selector, make.delete_payload, make.delete_payload_by_filter, list(request.keys))


def _clear_payload(_: Collection, request: Any) -> edge.UpdateOperation:
    return _selected(request.points, edge.UpdateOperation.clear_payload, edge.UpdateOperation.clear_payload_by_filter)


def _delete(_: Collection, request: Any) -> edge.UpdateOperation:
    return _selected(request.points, edge.UpdateOperation.delete_points, edge.UpdateOperation.delete_points_by_filter)


def _delete_vectors(collection: Collection, request: Any) -> edge.UpdateOperation:
    names = list(request.vectors.names)
    for name in names:
        if name not in collection.dimensions:
            raise invalid(f"Not existing vector name error: {name}")
    make = edge.UpdateOperation
    return _selected(request.points_selector, make.delete_vectors, make.delete_vectors_by_filter, names)


def _create_index(_: Collection, request: Any) -> edge.UpdateOperation:
    return edge.UpdateOperation.create_field_index(request.field_name, to_schema(request))


def _delete_index(_: Collection, request: Any) -> edge.UpdateOperation:
    return edge.UpdateOperation.delete_field_index(request.field_name)


upsert = _write(_upsert, "points", "update_filter", "update_mode")
delete = _write(_delete, "points")
update_vectors = _write(_update_vectors, "points", "update_filter")
delete_vectors = _write(_delete_vectors, "points_selector", "vectors")
set_payload = _write(_set_payload, "payload", "points_selector", "key")
overwrite_payload = _write(_overwrite_payload, "payload", "points_selector", "key")
delete_payload = _write(_delete_payload, "keys", "points_selector")
clear_payload = _write(_clear_payload, "points")
create_index = _write(_create_index, "field_name", "field_type", "field_index_params")
delete_index = _write(_delete_index, "field_name")

# Each kind of operation in a batch: what makes it, and the fields it may carry.
_BATCHED: dict[str, tuple[_Operation, tuple[str, ...]]] = {
    "upsert": (_upsert, ("points", "update_filter", "update_mode")),
    "delete_points": (_delete, ("points",)),
    "set_payload": (_set_payload, ("payload", "points_selector", "key")),
    "overwrite_payload": (_overwrite_payload, ("payload", "points_selector", "key")),
    "delete_payload": (_delete_payload, ("keys", "points_selector")),
    "clear_payload": (_clear_payload, ("points",)),
    "update_vectors": (_update_vectors, ("points", "update_filter")),
    "delete_vectors": (_delete_vectors, ("points_selector", "vectors")),
}


def update_batch(store: Store, request: pb.UpdateBatchPoints) -> pb.UpdateBatchResponse:
    """The operations one after another; all are read before the first is applied, and the first to fail is the last."""
    only(request, *_COMMON, "operations")
    collection = store.get(request.collection_name)
    operations = []
    for message in request.operations:
        kind = variant(message, "operation")
        if kind not in _BATCHED:
            raise unspoken(f"PointsUpdateOperation.{kind}")
        make, fields = _BATCHED[kind]
        operation = getattr(message, kind)
        only(operation, *fields)
        operations.append(make(collection, operation))
    response = pb.UpdateBatchResponse()
    for each in operations:
        collection.shard.update(each)
        response.result.append(_result(request))
    return response
