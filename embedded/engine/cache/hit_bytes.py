"""Caches hits as response bytes, for hundreds or thousands of hits with a few payload fields each, or none.

Reading a payload from the engine and writing it into a message takes some 50 us a point, a message without payload 3,
the search itself one. So a point's bytes in a response are cached by its id and version. Every change of a point
changes its version, and no two states of a point of one collection have the same version.
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

# Cached points of one collection, some 400 bytes each.
_MAX_POINTS = 200_000
# Cached sets of payload fields; a search service requests very few.
_MAX_FIELD_SETS = 4
_MAX_FIELDS = 32

_SCORE = b"\x1d"  # ScoredPoint.score, field 3 as a float

# Version, and the encoded hit, whose last four bytes are its score.
_CachedHit = tuple[int, bytes]


class HitBytesCache:
    """The cached points of one collection. Several threads may use it at once."""

    def __init__(self) -> None:
        self._by_fields: dict[tuple[str, ...], dict[int, _CachedHit]] = {}
        self.verdicts = FilterVerdicts()

    def encode(
        self,
        shard: edge.EdgeShard,
        hits: Sequence[edge.ScoredPoint],
        fields: Sequence[str],
        unapplied: pb.Filter | None = None,
    ) -> bytes | None:
        """The encoded hits of a search without payload, with these fields of their payload.

        A point deleted meanwhile is left out; a changed one has its present fields. `unapplied` is the filter of the
        query if the search was made without it: the result is None if a hit does not pass it.
        """
        cache = self._cache(tuple(fields))
        ids = [hit.id for hit in hits]
        keys = keys_of(ids)
        versions = [hit.version for hit in hits]
        if unapplied is not None and not self.verdicts.all_pass(shard, unapplied, ids, keys, versions):
            return None
        cached = list(map(cache.get, keys))
        pairs = enumerate(zip(cached, versions, strict=True))
        stale = [n for n, (entry, version) in pairs if entry is None or entry[0] != version]
        if stale:
            fresh = _read(shard, [(ids[n], versions[n]) for n in stale], fields)
            if len(cache) + len(fresh) > _MAX_POINTS:
                cache.clear()
            cache.update(fresh)
            for n in stale:
                cached[n] = fresh.get(keys[n])
        scores = [hit.score for hit, entry in zip(hits, cached, strict=True) if entry]
        return _with_scores([entry[1] for entry in cached if entry], scores)

    def _cache(self, fields: tuple[str, ...]) -> dict[int, _CachedHit]:
        if fields not in self._by_fields and len(self._by_fields) >= _MAX_FIELD_SETS:
            self._by_fields.clear()
        return self._by_fields.setdefault(fields, {})


def cacheable_fields(request: pb.QueryPoints) -> list[str] | None:
    """The payload fields of a query whose hits can be cached: a few by name, no vectors, no order. None otherwise."""
    if request.with_payload.enable or request.with_payload.HasField("exclude"):
        return None
    fields = list(request.with_payload.include.fields)
    vectors = request.with_vectors
    plain = vectors.WhichOneof("selector_options") is None or not (vectors.enable or vectors.HasField("include"))
    scored = request.query.WhichOneof("variant") in ("nearest", "fusion", "rrf")
    return fields if plain and scored and len(fields) <= _MAX_FIELDS else None


def _with_scores(hits: Sequence[bytes], scores: Sequence[float]) -> bytes:
    """The encoded hits one after the other, with these scores."""
    out = np.frombuffer(bytearray().join(hits), dtype=np.uint8)
    ends = np.cumsum(np.fromiter(map(len, hits), dtype=np.int64, count=len(hits)))
    out[ends[:, None] + np.arange(-4, 0)] = np.array(scores, dtype="<f4").view(np.uint8).reshape(-1, 4)
    return out.tobytes()


def _read(shard: edge.EdgeShard, points: Sequence[tuple[Any, int]], fields: Sequence[str]) -> dict[int, _CachedHit]:
    """Reads points, given by id and version, and encodes them as hits, by their keys."""
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
