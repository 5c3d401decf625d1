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
from indexer.qdrant.queries import GraphPolicy, deadline, pool_size, qdrant_queries, scores_of

_PUBLIC = excluding(*INTERNALS)


class QdrantReader:
    """ProductReader and VectorReader on one collection or alias: live products, without fields of the write side.

    `timeout_s` is the deadline of every call. Raises Unavailable and FatalError, and InvalidInput for a vector of
    another shape.
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

    async def search(self, query: IndexQuery) -> list[Hit]:
        """The live products that match, best first.

        The score is the cosine of the vectors, the BM25 score of the words, or the fused score of both.
        """
        requests = qdrant_queries(query, self._space, self._policy)
        async with deadline(query.within_s):
            return await (self._one_channel(requests[0], query) if len(requests) == 1 else self._fused(requests, query))

    async def _one_channel(self, request: grpc.QueryPoints, query: IndexQuery) -> list[Hit]:
        request.limit, request.offset = query.limit, query.offset
        request.with_payload.CopyFrom(_PUBLIC)
        return [_hit(point.payload, point.score) for point in await self._points.query(request)]

    async def _fused(self, requests: Sequence[grpc.QueryPoints], query: IndexQuery) -> list[Hit]:
        """Both channels in one call without payloads, then the payloads of the hits.

        Qdrant's own fusion is not used. Its weights divide ranks instead of multiplying shares, it does not scale
        scores to the range found, and it breaks ties randomly, so that the pages of a ranking would be inconsistent.
        """
        for request in requests:
            request.limit = pool_size(query)
            request.with_payload.CopyFrom(NOTHING)
        dense, lexical = await self._points.query_batch(requests)
        best = fused(query.fusion, scores_of(dense), scores_of(lexical))[query.offset : query.offset + query.limit]
        points = await self._points.get([i for i, _ in best], payload=_PUBLIC)
        hits = [_hit(points[i].payload, score) for i, score in best if i in points]
        return [hit for hit in hits if hit.payload["live"]]

    async def get(self, key: ProductKey) -> Payload | None:
        """A live product's payload; None if there is no such product."""
        points = await self._points.get([point_id(key)], payload=_PUBLIC)
        payloads = [payload_from(point.payload) for point in points.values()]
        return next((p for p in payloads if p["live"]), None)

    async def count(self, conditions: Sequence[Condition] = ()) -> int:
        """The exact number of live products that satisfy all conditions."""
        return await self._points.count(live_and(conditions))

    async def vectors(self, key: ProductKey) -> Mapping[str, Vector] | None:
        """A live product's vectors by name, each float32 of shape (dim,); None if there is no such product."""
        names = tuple(self._space.vectors)
        points = await self._points.get([point_id(key)], payload=including("live"), vectors=names)
        for point in points.values():
            if point.payload["live"].bool_value:
                vectors = point.vectors.vectors.vectors
                return {name: np.array(vectors[name].dense.data, dtype=np.float32) for name in names if name in vectors}
        return None


def _hit(payload: Mapping[str, grpc.Value], score: float) -> Hit:
    return Hit(key_from(payload), score, payload_from(payload))
