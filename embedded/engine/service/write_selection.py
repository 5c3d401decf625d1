"""Which points a write is about, decided before the engine logs it.

The engine replays its log after a crash, on data of which some parts may be further along than others. What it
replays must therefore not ask the data anything: a guard that is judged again may see its own effect and skip, and
an operation by ids that meets a point deleted later stops halfway and loses the rest of its points. Both were seen
after a kill -9 in the middle of a flush. So guards and filters are judged here, once, by the one thread that writes,
and the engine is told only "these points, if they are there", which can be replayed any number of times. A point in
an optimized, read-only segment is moved when a part of it is changed, and a replay of such a move can lose the change
(seen too): it is written anew, whole, before.
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
_CARRIED = 500


def these(ids: Ids[Any]) -> edge.Filter:
    """The points of these ids, as far as they exist."""
    return edge.Filter(must=[edge.HasIdCondition(set(ids))])


def selected(shard: edge.EdgeShard, selector: pb.PointsSelector) -> list[Any]:
    """The ids a selector stands for; by filter, those that match now. Ids need not exist."""
    if variant(selector, "points_selector_one_of") == "points":
        return to_ids(selector.points.ids)
    return _matching(shard, to_filter(selector.filter))


def existing(shard: edge.EdgeShard, ids: Ids[Any]) -> set[Any]:
    """Those of the ids that exist."""
    return {record.id for record in shard.retrieve(list(ids), False, False)}


def must_exist(shard: edge.EdgeShard, ids: list[Any]) -> list[Any]:
    """The same ids; refuses, before anything is changed, if one of them does not exist."""
    there = existing(shard, ids)
    for point_id in ids:
        if point_id not in there:
            raise missing(f"No point with id {point_id}")
    return ids


def admitted(shard: edge.EdgeShard, ids: Ids[Any], guard: edge.Filter | None, mode: int) -> set[Any]:
    """Those of the ids that an upsert may write.

    A missing point is inserted whatever the guard says, unless the mode is UpdateOnly; an existing one is written if
    the guard matches it, unless the mode is InsertOnly.
    """
    wanted = set(ids)
    if mode == pb.Upsert and guard is None:
        return wanted
    if mode == pb.UpdateOnly and guard is not None:
        return set(_matching(shard, edge.Filter(must=[these(wanted), guard])))
    there = existing(shard, wanted)
    matching = there
    if guard is not None and there and mode != pb.InsertOnly:
        matching = set(_matching(shard, edge.Filter(must=[these(there), guard])))
    match mode:
        case pb.Upsert:
            return (wanted - there) | matching
        case pb.InsertOnly:
            return wanted - there
        case pb.UpdateOnly:
            return matching
        case _:
            raise unsupported(f"UpdateMode {mode}")


def moved(collection: Collection, ids: list[Any]) -> Iterator[edge.UpdateOperation]:
    """What writes the points anew, as they are, out of the read-only segments they may lie in."""
    if not collection.optimized:
        return
    for first in range(0, len(ids), _CARRIED):
        records = collection.shard.retrieve(ids[first : first + _CARRIED], True, True)
        points = [edge.Point(record.id, record.vector or {}, record.payload) for record in records]
        if points:
            yield edge.UpdateOperation.upsert_points(points)


def _matching(shard: edge.EdgeShard, condition: edge.Filter) -> list[Any]:
    found: list[Any] = []
    page = None
    while True:
        asked = edge.ScrollRequest(offset=page, limit=_PAGE, filter=condition, with_payload=False, with_vector=False)
        records, page = shard.scroll(asked)
        found.extend(record.id for record in records)
        if page is None:
            return found
