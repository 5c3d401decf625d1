"""The products that wait for another attempt to fetch their photo."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import aclosing

from qdrant_client import AsyncQdrantClient, grpc

from catalog.domain.state import Payload
from indexer.qdrant.client import PointsClient, excluding
from indexer.qdrant.payload import payload_from
from indexer.qdrant.points import GUARD


class QdrantImageRetryQueue:
    """ImageRetryQueue on one collection. Raises Unavailable, and FatalError if the collection or access is missing."""

    def __init__(self, client: AsyncQdrantClient, *, collection: str, timeout_s: float = 30.0) -> None:
        self._points = PointsClient(client, collection=collection, timeout_s=timeout_s)

    async def due(self, now_ms: int, *, limit: int) -> Sequence[Payload]:
        """The full payloads of up to `limit` live products whose `image_retry_at` is at most `now_ms`."""
        async with aclosing(self._points.scroll(_due_filter(now_ms), limit=limit, payload=excluding(GUARD))) as pages:
            async for page in pages:
                return [_with_decoded_clock(payload_from(point.payload)) for point in page]
        return []


def _due_filter(now_ms: int) -> grpc.Filter:
    fields = [
        grpc.FieldCondition(key="live", match=grpc.Match(boolean=True)),
        grpc.FieldCondition(key="image_retry_at", range=grpc.Range(lte=now_ms)),
    ]
    return grpc.Filter(must=[grpc.Condition(field=field) for field in fields])


def _with_decoded_clock(payload: Payload) -> Payload:
    clock = payload["clock"]
    return {**payload, "clock": json.loads(clock) if isinstance(clock, str) else clock}
