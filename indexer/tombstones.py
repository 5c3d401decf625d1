"""Removes old hidden points: tombstones of deleted products, and patches that wait for a put."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from qdrant_client import AsyncQdrantClient, grpc

from catalog.domain.product import ProductKey
from indexer.qdrant.client import NOTHING, PointsClient, including
from indexer.qdrant.points import key_from

PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class WaitingPatch:
    """A product with patches only, and the time of the newest one in milliseconds since the epoch."""

    key: ProductKey
    event_time: int


class TombstoneStore:
    """The hidden points of one collection or alias.

    Methods consider points whose newest event is older than `before`, in milliseconds since the epoch. A removed
    tombstone no longer protects against late events: an older put that arrives afterwards creates the product again.
    Every method raises Unavailable, and FatalError if the collection or access is missing.
    """

    def __init__(self, client: AsyncQdrantClient, *, collection: str, timeout_s: float = 30.0) -> None:
        self._points = PointsClient(client, collection=collection, timeout_s=timeout_s)

    async def count(self, before: int, *, waiting: bool = False) -> int:
        """The number of tombstones, or of waiting patches."""
        return await self._points.count(_hidden(before, waiting=waiting))

    async def waiting(self, before: int) -> AsyncIterator[WaitingPatch]:
        """The products with patches only."""
        fields = including("tenant", "id", "event_time")
        async for page in self._points.scroll(_hidden(before, waiting=True), limit=PAGE_SIZE, payload=fields):
            for point in page:
                yield WaitingPatch(key_from(point.payload), point.payload["event_time"].integer_value)

    async def remove(self, before: int, *, waiting: bool = False) -> int:
        """Remove tombstones, or waiting patches. Returns their number.

        Removes one page at a time, so that queries are not blocked for long. Each request names the ids and repeats
        the filter: a product that was put again after the page was read stays.
        """
        removed = 0
        hidden = _hidden(before, waiting=waiting)
        async for page in self._points.scroll(hidden, limit=PAGE_SIZE, payload=NOTHING):
            ids = grpc.HasIdCondition(has_id=[point.id for point in page])
            await self._points.delete(grpc.Filter(must=[*hidden.must, grpc.Condition(has_id=ids)]))
            remaining = await self._points.get([point.id.uuid for point in page], payload=NOTHING)
            removed += len(page) - len(remaining)
        return removed


def _hidden(before: int, *, waiting: bool) -> grpc.Filter:
    """Matches hidden points whose newest event is older than `before`. Only a put or a delete sets content_version."""
    fields = [
        grpc.FieldCondition(key="live", match=grpc.Match(boolean=False)),
        grpc.FieldCondition(key="event_time", range=grpc.Range(lt=before)),
    ]
    must = [grpc.Condition(field=field) for field in fields]
    if waiting:
        must.append(grpc.Condition(is_empty=grpc.IsEmptyCondition(key="content_version")))
    else:
        has_base = grpc.FieldCondition(key="content_version", range=grpc.Range(gte=0))
        must.append(grpc.Condition(field=has_base))
    return grpc.Filter(must=must)
