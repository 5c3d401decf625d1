"""The products with the newest events."""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_client import AsyncQdrantClient

from catalog.domain.filters import Condition
from catalog.domain.product import ProductKey
from catalog.domain.state import Payload
from indexer.qdrant.client import PointsClient, excluding
from indexer.qdrant.filters import live_and
from indexer.qdrant.payload import payload_from
from indexer.qdrant.points import INTERNALS, key_from


class QdrantRecentProducts:
    """RecentProducts on one collection or alias. Raises Unavailable and FatalError, and InvalidInput for a filter."""

    def __init__(self, client: AsyncQdrantClient, *, collection: str, timeout_s: float = 10.0) -> None:
        self._points = PointsClient(client, collection=collection, timeout_s=timeout_s)

    async def newest(self, conditions: Sequence[Condition] = (), *, limit: int) -> Sequence[tuple[ProductKey, Payload]]:
        """The live products that satisfy all conditions, those with the newest events first."""
        points = await self._points.highest(
            "event_time", live_and(conditions), limit=limit, payload=excluding(*INTERNALS)
        )
        return [(key_from(point.payload), payload_from(point.payload)) for point in points]
