"""Points read by their ids a few at a time, as searches do for their hits, remembered as the bytes of the answer.

Reading a payload out of the engine and writing it into a message takes some 25 us. What was read of a point is given
again while the point has the same version, which every change of it raises; what the version is now a search among
these points alone tells, which takes 2 us a point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.codec.points import fill_record, with_payload
from embedded.engine.codec.wire import RESULT, framed, keys_of

# Points remembered of one collection, half a kilobyte each, and kinds of answers.
_MOST_POINTS = 50_000
_MOST_KINDS = 2
MOST_AT_ONCE = 200


class PointCache:
    """The remembered points of one collection. Several threads may ask at once."""

    def __init__(self, vectors: dict[str, int]) -> None:
        """`vectors` are the dense vectors' dimensions by name; points without the first of them are not remembered."""
        self._vectors = sorted(vectors.items())[:1]
        self._kinds: dict[bytes, dict[int, tuple[int, bytes]]] = {}

    def points(self, shard: edge.EdgeShard, ids: Sequence[Any], payload: pb.WithPayloadSelector) -> bytes:
        """Those of the points that exist, on the wire, without vectors."""
        kept = self._of(payload.SerializeToString())
        asked = dict(zip(keys_of(ids), ids, strict=True))
        versions = self._versions(shard, ids)
        found = {key: one[1] for key in asked if (one := kept.get(key)) is not None and one[0] == versions.get(key, -1)}
        missing = [point_id for key, point_id in asked.items() if key not in found]
        for record in shard.retrieve(missing, with_payload(payload, default=True), False) if missing else ():
            message = pb.RetrievedPoint()
            fill_record(message, record)
            (key,) = keys_of([record.id])
            found[key] = framed(RESULT, message.SerializeToString())
            if key in versions:
                kept[key] = versions[key], found[key]
        return b"".join(found[key] for key in asked if key in found)

    def _versions(self, shard: edge.EdgeShard, ids: Sequence[Any]) -> dict[int, int]:
        """The versions, by key, of the points that have the vector."""
        for name, dimension in self._vectors:
            nearest = edge.Query.Nearest([1.0] * dimension, name)
            these = edge.Filter(must=[edge.HasIdCondition(set(ids))])
            hits = shard.query(edge.QueryRequest(limit=len(ids), query=nearest, filter=these))
            return dict(zip(keys_of([hit.id for hit in hits]), [hit.version for hit in hits], strict=True))
        return {}

    def _of(self, kind: bytes) -> dict[int, tuple[int, bytes]]:
        if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            self._kinds.clear()
        kept = self._kinds.setdefault(kind, {})
        if len(kept) >= _MOST_POINTS:
            kept.clear()
        return kept
