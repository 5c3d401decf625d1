"""Hundreds or thousands of hits with a few payload fields each, or none, as the bytes of the answer.

Reading a payload out of the engine and writing it into a message takes some 50 us a point, a message without payload
3, the search itself one. So what a point looks like in an answer is remembered, by its id and version: whatever
changes a point changes its version, and no two states of a point of one collection have the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.cache.filter_verdicts import FilterVerdicts
from embedded.engine.codec.points import fill_id, fill_record
from embedded.engine.codec.wire import RESULT, framed, keys_of

# Points remembered of one collection, some 400 bytes each.
_MOST_POINTS = 200_000
# Kinds of answers, by the fields they have, that points are remembered for; a search service asks for very few.
_MOST_KINDS = 4
_MOST_FIELDS = 32

_SCORE = b"\x1d"  # ScoredPoint.score, field 3 as a float

# Version, and the hit on the wire, whose last four bytes are its score.
_Seen = tuple[int, bytes]


class HitBytesCache:
    """The remembered points of one collection. Several threads may ask at once."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, ...], dict[int, _Seen]] = {}
        self.judged = FilterVerdicts()

    def hits(
        self,
        shard: edge.EdgeShard,
        found: Sequence[edge.ScoredPoint],
        fields: Sequence[str],
        where: pb.Filter | None = None,
    ) -> bytes | None:
        """On the wire, the hits that a search without payload found, with these fields of their payload.

        A point that was deleted meanwhile is no hit; one that was changed has the fields it has now. None where the
        search was made without a filter, `where`, and not all of them pass it.
        """
        seen = self._of(tuple(fields))
        ids = [hit.id for hit in found]
        keys = keys_of(ids)
        versions = [hit.version for hit in found]
        if where is not None and not self.judged.all_pass(shard, where, ids, keys, versions):
            return None
        known = list(map(seen.get, keys))
        pairs = enumerate(zip(known, versions, strict=True))
        stale = [n for n, (one, version) in pairs if one is None or one[0] != version]
        if stale:
            fresh = _packed(shard, [(ids[n], versions[n]) for n in stale], fields)
            if len(seen) + len(fresh) > _MOST_POINTS:
                seen.clear()
            seen.update(fresh)
            for n in stale:
                known[n] = fresh.get(keys[n])
        scores = [hit.score for hit, one in zip(found, known, strict=True) if one]
        return _scored([one[1] for one in known if one], scores)

    def _of(self, fields: tuple[str, ...]) -> dict[int, _Seen]:
        if fields not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            self._kinds.clear()
        return self._kinds.setdefault(fields, {})


def brief_fields(request: pb.QueryPoints) -> list[str] | None:
    """The payload fields that a query asks for, where its answer can be brief: a few by name, no vectors, no order."""
    if request.with_payload.enable or request.with_payload.HasField("exclude"):
        return None
    fields = list(request.with_payload.include.fields)
    vectors = request.with_vectors
    plain = vectors.WhichOneof("selector_options") is None or not (vectors.enable or vectors.HasField("include"))
    scored = request.query.WhichOneof("variant") in ("nearest", "fusion", "rrf")
    return fields if plain and scored and len(fields) <= _MOST_FIELDS else None


def _scored(hits: Sequence[bytes], scores: Sequence[float]) -> bytes:
    """The hits one after the other, with these scores."""
    out = np.frombuffer(bytearray().join(hits), dtype=np.uint8)
    ends = np.cumsum(np.fromiter(map(len, hits), dtype=np.int64, count=len(hits)))
    out[ends[:, None] + np.arange(-4, 0)] = np.array(scores, dtype="<f4").view(np.uint8).reshape(-1, 4)
    return out.tobytes()


def _packed(shard: edge.EdgeShard, points: Sequence[tuple[Any, int]], fields: Sequence[str]) -> dict[int, _Seen]:
    """Points, given by id and version, on the wire, by their keys."""
    messages = []
    if fields:
        versions = dict(points)
        for record in shard.retrieve(list(versions), edge.PayloadSelector.Include(list(fields)), False):
            message = pb.ScoredPoint(version=versions[record.id])
            fill_record(message, record)
            messages.append((record.id, message))
    else:
        for point_id, version in points:
            message = pb.ScoredPoint(version=version)
            fill_id(message.id, point_id)
            messages.append((point_id, message))
    keys = keys_of([point_id for point_id, _ in messages])
    return {key: (message.version, _hit(message)) for key, (_, message) in zip(keys, messages, strict=True)}


def _hit(message: pb.ScoredPoint) -> bytes:
    return framed(RESULT, message.SerializeToString() + _SCORE + bytes(4))
