"""Selects the points of a write before the engine logs it.

After a crash the engine replays its log on data of which some parts may be newer than others. So a logged operation
must not depend on the data. A guard evaluated again may see its own effect and skip. An operation by ids stops at a
point that was deleted later, and loses the rest of its points. Both happened after a kill -9 during a flush.

So guards and filters are evaluated here, once, by the one writing thread. The engine gets only "these points, if they
exist", which can be replayed any number of times.

A partial change moves a point out of an optimized, read-only segment. A replay of such a move can lose the change,
which happened too. So such points are first written again completely.
"""

from __future__ import annotations

from collections.abc import Collection as Ids
from collections.abc import Iterator
from typing import Any

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.codec.filters import to_filter
from embedded.engine.codec.points import to_ids
from embedded.engine.codec.status import missing, unsupported, variant
from embedded.engine.store import Collection

_PAGE = 10_000
_MOVE_BATCH = 500


def ids_filter(ids: Ids[Any]) -> edge.Filter:
    """A filter for the points of these ids that exist."""
    return edge.Filter(must=[edge.HasIdCondition(set(ids))])


def selected(shard: edge.EdgeShard, selector: pb.PointsSelector) -> list[Any]:
    """The ids of a selector; for a filter, those that match now. Given ids need not exist."""
    if variant(selector, "points_selector_one_of") == "points":
        return to_ids(selector.points.ids)
    return _matching(shard, to_filter(selector.filter))


def existing(shard: edge.EdgeShard, ids: Ids[Any]) -> set[Any]:
    """The ids that exist."""
    return {record.id for record in shard.retrieve(list(ids), False, False)}


def must_exist(shard: edge.EdgeShard, ids: list[Any]) -> list[Any]:
    """The same ids. Refuses if one of them does not exist, before any change."""
    found = existing(shard, ids)
    for point_id in ids:
        if point_id not in found:
            raise missing(f"No point with id {point_id}")
    return ids


def admitted(shard: edge.EdgeShard, ids: Ids[Any], guard: edge.Filter | None, mode: int) -> set[Any]:
    """The ids that an upsert may write.

    A missing point is inserted whatever the guard, unless the mode is UpdateOnly. An existing one is written if the
    guard matches it, unless the mode is InsertOnly.
    """
    requested = set(ids)
    if mode == pb.Upsert and guard is None:
        return requested
    if mode == pb.UpdateOnly and guard is not None:
        return set(_matching(shard, edge.Filter(must=[ids_filter(requested), guard])))
    present = existing(shard, requested)
    matching = present
    if guard is not None and present and mode != pb.InsertOnly:
        matching = set(_matching(shard, edge.Filter(must=[ids_filter(present), guard])))
    match mode:
        case pb.Upsert:
            return (requested - present) | matching
        case pb.InsertOnly:
            return requested - present
        case pb.UpdateOnly:
            return matching
        case _:
            raise unsupported(f"UpdateMode {mode}")


def moves(collection: Collection, ids: list[Any]) -> Iterator[edge.UpdateOperation]:
    """Operations that write the points again unchanged, out of read-only segments."""
    if not collection.optimized:
        return
    for start in range(0, len(ids), _MOVE_BATCH):
        records = collection.shard.retrieve(ids[start : start + _MOVE_BATCH], True, True)
        points = [edge.Point(record.id, record.vector or {}, record.payload) for record in records]
        if points:
            yield edge.UpdateOperation.upsert_points(points)


def _matching(shard: edge.EdgeShard, condition: edge.Filter) -> list[Any]:
    ids: list[Any] = []
    page = None
    while True:
        request = edge.ScrollRequest(offset=page, limit=_PAGE, filter=condition, with_payload=False, with_vector=False)
        records, page = shard.scroll(request)
        ids.extend(record.id for record in records)
        if page is None:
            return ids
