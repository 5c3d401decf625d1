"""The read side of the live collection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qdrant_client import AsyncQdrantClient

from catalog.ask import Ask
from catalog.errors import Misuse
from catalog.filters import Condition
from catalog.ports import Hit
from catalog.product import Key
from catalog.space import Space
from catalog.state import Payload
from indexer.calls import Points, excluding
from indexer.conditions import live_and
from indexer.points import INTERNALS, dense, key_from, point_id
from indexer.values import payload_from


class QdrantShelf:
    """Shelf on one collection or alias: only live products, without what the writing side keeps for itself.

    `timeout_s` is the deadline of every call. Raises Unavailable, Hopeless, and Misuse for a vector of another shape.
    """

    def __init__(self, client: AsyncQdrantClient, *, collection: str, space: Space, timeout_s: float = 10.0) -> None:
        self._points = Points(client, collection=collection, timeout_s=timeout_s)
        self._space = space

    async def search(self, ask: Ask) -> list[Hit]:
        """The nearest live products by cosine similarity, best first."""
        vector = ask.vector
        if vector is None or vector.shape != (self._space.vectors.get(ask.using),) or not np.isfinite(vector).all():
            raise Misuse(f"the query's vector is not one of the vectors {ask.using!r} of the space {self._space.id}")
        found = await self._points.query(
            dense(vector),
            using=ask.using,
            where=live_and(ask.conditions),
            limit=ask.limit,
            payload=excluding(*INTERNALS),
            exact=ask.exact,
        )
        return [Hit(key_from(point.payload), point.score, payload_from(point.payload)) for point in found]

    async def get(self, key: Key) -> Payload | None:
        """A live product's payload."""
        found = await self._points.get([point_id(key)], payload=excluding(*INTERNALS))
        payloads = [payload_from(point.payload) for point in found.values()]
        return next((p for p in payloads if p["live"]), None)

    async def count(self, conditions: Sequence[Condition] = ()) -> int:
        """How many live products there are, exactly."""
        return await self._points.count(live_and(conditions))
