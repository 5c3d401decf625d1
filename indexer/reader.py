"""The read side of the live collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from qdrant_client import AsyncQdrantClient, grpc

from catalog.domain.filters import Condition
from catalog.domain.index_query import IndexQuery
from catalog.domain.product import ProductKey
from catalog.domain.space import Space
from catalog.domain.state import Payload
from catalog.ports import Hit, Vector
from catalog.query.rank_fusion import fused
from indexer.qdrant.client import NOTHING, PointsClient, excluding, including
from indexer.qdrant.filters import live_and
from indexer.qdrant.payload import payload_from
from indexer.qdrant.points import INTERNALS, key_from, point_id
from indexer.qdrant.queries import GraphPolicy, deadline, pool_of, queries_of, scores_of

_PUBLIC = excluding(*INTERNALS)


class QdrantReader:
    """Shelf and Looks on one collection or alias: only live products, without what the writing side keeps for itself.

    `timeout_s` is the deadline of every call. Raises Unavailable, Hopeless, and Misuse for a vector of another shape.
    """

    def __init__(
        self,
        client: AsyncQdrantClient,
        *,
        collection: str,
        space: Space,
        timeout_s: float = 10.0,
        policy: GraphPolicy = GraphPolicy(),
    ) -> None:
        self._points = PointsClient(client, collection=collection, timeout_s=timeout_s)
        self._space = space
        self._policy = policy

    async def search(self, ask: IndexQuery) -> list[Hit]:
        """The live products that answer, best first.

        A score is the cosine of the vectors, BM25 of the words, or what the two are fused to.
        """
        queries = queries_of(ask, self._space, self._policy)
        async with deadline(ask.within_s):
            return await (self._one(queries[0], ask) if len(queries) == 1 else self._fused(queries, ask))

    async def _one(self, query: grpc.QueryPoints, ask: IndexQuery) -> list[Hit]:
        query.limit, query.offset = ask.limit, ask.offset
        query.with_payload.CopyFrom(_PUBLIC)
        return [_hit(point.payload, point.score) for point in await self._points.query(query)]

    async def _fused(self, queries: Sequence[grpc.QueryPoints], ask: IndexQuery) -> list[Hit]:
        """Both channels in one call, without payloads; then those of the hits alone.

        Not by Qdrant's own fusion: its weights divide ranks instead of multiplying shares, it does not scale scores to
        what was found, and it breaks ties by chance, so that pages of one ranking would not fit together.
        """
        for query in queries:
            query.limit = pool_of(ask)
            query.with_payload.CopyFrom(NOTHING)
        dense, lexical = await self._points.query_batch(queries)
        best = fused(ask.fusion, scores_of(dense), scores_of(lexical))[ask.offset : ask.offset + ask.limit]
        there = await self._points.get([i for i, _ in best], payload=_PUBLIC)
        hits = [_hit(there[i].payload, score) for i, score in best if i in there]
        return [hit for hit in hits if hit.payload["live"]]

    async def get(self, key: ProductKey) -> Payload | None:
        """A live product's payload."""
        found = await self._points.get([point_id(key)], payload=_PUBLIC)
        payloads = [payload_from(point.payload) for point in found.values()]
        return next((p for p in payloads if p["live"]), None)

    async def count(self, conditions: Sequence[Condition] = ()) -> int:
        """How many live products there are, exactly."""
        return await self._points.count(live_and(conditions))

    async def vectors(self, key: ProductKey) -> Mapping[str, Vector] | None:
        """A live product's vectors by name, each float32 of shape (dim,); None where there is no live product."""
        names = tuple(self._space.vectors)
        found = await self._points.get([point_id(key)], payload=including("live"), vectors=names)
        for point in found.values():
            if point.payload["live"].bool_value:
                named = point.vectors.vectors.vectors
                return {name: np.array(named[name].dense.data, dtype=np.float32) for name in names if name in named}
        return None


def _hit(payload: Mapping[str, grpc.Value], score: float) -> Hit:
    return Hit(key_from(payload), score, payload_from(payload))
