"""Caches points as response bytes, for reads of a few points by id, as searches make for their hits.

Reading a payload from the engine and writing it into a message takes some 25 us. The cached bytes of a point are used
while it has the same version, which every change of it raises. A search among these points alone gives the present
versions in 2 us a point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.codec.points import fill_record, with_payload
from embedded.engine.codec.wire import RESULT, framed, keys_of

# Cached points of one collection, half a kilobyte each, and cached payload selectors.
_MAX_POINTS = 50_000
_MAX_SELECTORS = 2
MAX_IDS = 200


class PointCache:
    """The cached points of one collection. Several threads may use it at once."""

    def __init__(self, vectors: dict[str, int]) -> None:
        """`vectors` are the dense vectors' dimensions by name. Points without the first of them are not cached."""
        self._vectors = sorted(vectors.items())[:1]
        self._by_selector: dict[bytes, dict[int, tuple[int, bytes]]] = {}

    def encode(self, shard: edge.EdgeShard, ids: Sequence[Any], payload: pb.WithPayloadSelector) -> bytes:
        """The encoded points of these ids that exist, without vectors."""
        cache = self._cache(payload.SerializeToString())
        by_key = dict(zip(keys_of(ids), ids, strict=True))
        versions = self._versions(shard, ids)
        encoded = {
            key: entry[1]
            for key in by_key
            if (entry := cache.get(key)) is not None and entry[0] == versions.get(key, -1)
        }
        missing = [point_id for key, point_id in by_key.items() if key not in encoded]
        for record in shard.retrieve(missing, with_payload(payload, default=True), False) if missing else ():
            message = pb.RetrievedPoint()
            fill_record(message, record)
            (key,) = keys_of([record.id])
            encoded[key] = framed(RESULT, message.SerializeToString())
            if key in versions:
                cache[key] = versions[key], encoded[key]
        return b"".join(encoded[key] for key in by_key if key in encoded)

    def _versions(self, shard: edge.EdgeShard, ids: Sequence[Any]) -> dict[int, int]:
        """The versions, by key, of the points that have the vector."""
        for name, dimension in self._vectors:
            nearest = edge.Query.Nearest([1.0] * dimension, name)
            only_ids = edge.Filter(must=[edge.HasIdCondition(set(ids))])
            hits = shard.query(edge.QueryRequest(limit=len(ids), query=nearest, filter=only_ids))
            return dict(zip(keys_of([hit.id for hit in hits]), [hit.version for hit in hits], strict=True))
        return {}

    def _cache(self, selector: bytes) -> dict[int, tuple[int, bytes]]:
        if selector not in self._by_selector and len(self._by_selector) >= _MAX_SELECTORS:
            self._by_selector.clear()
        cache = self._by_selector.setdefault(selector, {})
        if len(cache) >= _MAX_POINTS:
            cache.clear()
        return cache
