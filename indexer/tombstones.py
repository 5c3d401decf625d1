"""Points that no query sees, removed once they are old: those of deleted products, and patches that wait for a put."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from qdrant_client import AsyncQdrantClient, grpc

from catalog.domain.product import ProductKey
from indexer.qdrant.client import NOTHING, PointsClient, including
from indexer.qdrant.points import key_from

PAGE = 500


@dataclass(frozen=True, slots=True)
class WaitingPatch:
    """A product of which only patches are known, and when the newest came, in milliseconds since the epoch."""

    key: ProductKey
    event_time: int


class TombstoneStore:
    """The hidden points of one collection or alias.

    `before`, in milliseconds since the epoch, is always later than the newest event that a point has taken. What is
    removed is forgotten: an older put that comes afterwards makes the product anew. Every method raises Unavailable,
    and Hopeless for a missing collection or a key that may not.
    """

    def __init__(self, client: AsyncQdrantClient, *, collection: str, timeout_s: float = 30.0) -> None:
        self._points = PointsClient(client, collection=collection, timeout_s=timeout_s)

    async def count(self, before: int, *, waiting: bool = False) -> int:
        """How many points of deleted products there are, or of waiting patches."""
        return await self._points.count(_hidden(before, waiting=waiting))

    async def waiting(self, before: int) -> AsyncIterator[WaitingPatch]:
        """The products of which only patches are known."""
        fields = including("tenant", "id", "event_time")
        async for page in self._points.scroll(_hidden(before, waiting=True), limit=PAGE, payload=fields):
            for point in page:
                yield WaitingPatch(key_from(point.payload), point.payload["event_time"].integer_value)

    async def remove(self, before: int, *, waiting: bool = False) -> int:
        """Removes the points of deleted products, or of waiting patches; how many.

        A page at a time, so that no query is held up for long. Each page goes by its ids and by what makes its points
        removable, in one request: a product that came back after the page was read is left alone.
        """
        removed = 0
        hidden = _hidden(before, waiting=waiting)
        async for page in self._points.scroll(hidden, limit=PAGE, payload=NOTHING):
            ids = grpc.HasIdCondition(has_id=[point.id for point in page])
            await self._points.delete(grpc.Filter(must=[*hidden.must, grpc.Condition(has_id=ids)]))
            left = await self._points.get([point.id.uuid for point in page], payload=NOTHING)
            removed += len(page) - len(left)
        return removed


def _hidden(before: int, *, waiting: bool) -> grpc.Filter:
    """Matches hidden points whose newest event is older than `before`; only what was put or deleted has a version."""
    fields = [
        grpc.FieldCondition(key="live", match=grpc.Match(boolean=False)),
        grpc.FieldCondition(key="event_time", range=grpc.Range(lt=before)),
    ]
    must = [grpc.Condition(field=field) for field in fields]
    if waiting:
        must.append(grpc.Condition(is_empty=grpc.IsEmptyCondition(key="content_version")))
    else:
        based = grpc.FieldCondition(key="content_version", range=grpc.Range(gte=0))
        must.append(grpc.Condition(field=based))
    return grpc.Filter(must=must)
