"""The calls that change points. Each takes the store and a request and returns the response; one runs at a time.

Every write is applied before its response, even if the client does not wait: `wait` only selects the status of the
response. `ordering` and `timeout` are accepted without effect: on one machine every ordering is the strongest, and the
client's own deadline ends a write that waits too long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.codec.filters import optional_filter
from embedded.engine.codec.payload import to_payload
from embedded.engine.codec.payload_indexes import to_schema
from embedded.engine.codec.points import to_point_vectors, to_points
from embedded.engine.codec.status import invalid, only, unsupported, variant
from embedded.engine.service.write_selection import admitted, ids_filter, moves, must_exist, selected
from embedded.engine.store import Collection, Store

_COMMON = ("collection_name", "wait", "ordering", "timeout")

# Reads a request and yields operations for the engine. Each is applied before the next is requested.
_Steps = Callable[[Collection, Any], Iterator[edge.UpdateOperation]]


def _upsert(collection: Collection, request: Any) -> Iterator[edge.UpdateOperation]:
    points = to_points(request.points, collection.dimensions)
    if not points:
        raise invalid("Empty update request")
    guard = optional_filter(request, "update_filter")
    writable = admitted(collection.shard, [point.id for point in points], guard, request.update_mode)
    if writable:
        yield edge.UpdateOperation.upsert_points([point for point in points if point.id in writable])


def _delete(collection: Collection, request: Any) -> Iterator[edge.UpdateOperation]:
    ids = selected(collection.shard, request.points)
    if ids:
        yield edge.UpdateOperation.delete_points(ids)


def _update_vectors(collection: Collection, request: Any) -> Iterator[edge.UpdateOperation]:
    vectors = to_point_vectors(request.points, collection.dimensions)
    ids = must_exist(collection.shard, [point.id for point in vectors])
    writable = admitted(collection.shard, ids, optional_filter(request, "update_filter"), pb.UpdateOnly)
    yield from moves(collection, list(writable))
    for point in vectors:
        if point.id in writable:
            # One by one: the engine has no such operation by filter, and a replay that misses a point loses no other.
            yield edge.UpdateOperation.update_vectors([point])


def _on_selected(
    make: Callable[..., edge.UpdateOperation], collection: Collection, selector: pb.PointsSelector, *arguments: Any
) -> Iterator[edge.UpdateOperation]:
    ids = selected(collection.shard, selector)
    if selector.HasField("points"):
        must_exist(collection.shard, ids)
    if ids:
        yield from moves(collection, ids)
        yield make(ids_filter(ids), *arguments)


def _set_payload(collection: Collection, request: Any) -> Iterator[edge.UpdateOperation]:
    make, key = edge.UpdateOperation.set_payload_by_filter, request.key if request.HasField("key") else None
    yield from _on_selected(make, collection, request.points_selector, to_payload(request.payload), key)


def _overwrite_payload(collection: Collection, request: Any) -> Iterator[edge.UpdateOperation]:
    make = edge.UpdateOperation.overwrite_payload_by_filter
    yield from _on_selected(make, collection, request.points_selector, to_payload(request.payload))


def _delete_payload(collection: Collection, request: Any) -> Iterator[edge.UpdateOperation]:
    make = edge.UpdateOperation.delete_payload_by_filter
    yield from _on_selected(make, collection, request.points_selector, list(request.keys))


def _clear_payload(collection: Collection, request: Any) -> Iterator[edge.UpdateOperation]:
    yield from _on_selected(edge.UpdateOperation.clear_payload_by_filter, collection, request.points)


def _delete_vectors(collection: Collection, request: Any) -> Iterator[edge.UpdateOperation]:
    names = list(request.vectors.names)
    for name in names:
        if name not in collection.dimensions:
            raise invalid(f"Not existing vector name error: {name}")
    make = edge.UpdateOperation.delete_vectors_by_filter
    yield from _on_selected(make, collection, request.points_selector, names)


def _create_index(_: Collection, request: Any) -> Iterator[edge.UpdateOperation]:
    yield edge.UpdateOperation.create_field_index(request.field_name, to_schema(request))


def _delete_index(_: Collection, request: Any) -> Iterator[edge.UpdateOperation]:
    yield edge.UpdateOperation.delete_field_index(request.field_name)


# Each kind of operation in a batch: its steps and its supported fields.
_BATCHED: dict[str, tuple[_Steps, tuple[str, ...]]] = {
    "upsert": (_upsert, ("points", "update_filter", "update_mode")),
    "delete_points": (_delete, ("points",)),
    "set_payload": (_set_payload, ("payload", "points_selector", "key")),
    "overwrite_payload": (_overwrite_payload, ("payload", "points_selector")),
    "delete_payload": (_delete_payload, ("keys", "points_selector")),
    "clear_payload": (_clear_payload, ("points",)),
    "update_vectors": (_update_vectors, ("points", "update_filter")),
    "delete_vectors": (_delete_vectors, ("points_selector", "vectors")),
}


def _apply(collection: Collection, steps: _Steps, request: Any) -> None:
    for operation in steps(collection, request):
        collection.shard.update(operation)


def _write(steps: _Steps, fields: tuple[str, ...]) -> Callable[[Store, Any], pb.PointsOperationResponse]:
    def call(store: Store, request: Any) -> pb.PointsOperationResponse:
        only(request, *_COMMON, *fields)
        _apply(store.get(request.collection_name), steps, request)
        return pb.PointsOperationResponse(result=_result(request))

    return call


def _result(request: Any) -> pb.UpdateResult:
    return pb.UpdateResult(status=pb.Completed if request.wait else pb.Acknowledged)


upsert = _write(*_BATCHED["upsert"])
delete = _write(*_BATCHED["delete_points"])
update_vectors = _write(*_BATCHED["update_vectors"])
delete_vectors = _write(*_BATCHED["delete_vectors"])
set_payload = _write(*_BATCHED["set_payload"])
overwrite_payload = _write(*_BATCHED["overwrite_payload"])
delete_payload = _write(*_BATCHED["delete_payload"])
clear_payload = _write(*_BATCHED["clear_payload"])
create_index = _write(_create_index, ("field_name", "field_type", "field_index_params"))
delete_index = _write(_delete_index, ("field_name",))


def update_batch(store: Store, request: pb.UpdateBatchPoints) -> pb.UpdateBatchResponse:
    """Applies the operations one after another and stops at the first that fails."""
    only(request, *_COMMON, "operations")
    collection = store.get(request.collection_name)
    operations = []
    for message in request.operations:
        kind = variant(message, "operation")
        if kind not in _BATCHED:
            raise unsupported(f"PointsUpdateOperation.{kind}")
        steps, fields = _BATCHED[kind]
        operation = getattr(message, kind)
        only(operation, *fields)
        operations.append((steps, operation))
    response = pb.UpdateBatchResponse()
    for steps, operation in operations:
        _apply(collection, steps, operation)
        response.result.append(_result(request))
    return response
