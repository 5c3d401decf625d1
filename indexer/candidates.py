"""Retrieves candidates: thousands of ids with their scores and versions, as columns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from qdrant_client import AsyncQdrantClient, grpc

from catalog.domain.index_query import IndexQuery
from catalog.domain.space import Space
from catalog.domain.state import ATTRIBUTE
from catalog.ports import CandidateColumns
from catalog.query.rank_fusion import fused
from indexer.qdrant.client import PointsClient, including
from indexer.qdrant.filters import path_of
from indexer.qdrant.payload import plain
from indexer.qdrant.queries import GraphPolicy, deadline, pool_size, qdrant_queries, scores_of

# The payload and the score of a hit.
ScoredPayload = tuple[Any, float]

ALWAYS = ("tenant", "id", "content_version", "offer_version")

# Hits converted before the event loop gets a chance to run other tasks: about 3 ms.
HITS_PER_STEP = 2000


class QdrantCandidateReader:
    """CandidateReader on one collection or alias.

    `timeout_s` is the deadline of calls without one of their own. Raises Unavailable and FatalError, and InvalidInput
    for a vector of another shape or a field that cannot be a path.
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

    async def candidates(self, query: IndexQuery, *, fields: Sequence[str] = ()) -> CandidateColumns:
        """The live products that match, best first. `fields` are payload fields, attributes.NAME for an attribute."""
        requests = qdrant_queries(query, self._space, self._policy)
        for request in requests:
            request.limit = query.limit if len(requests) == 1 else pool_size(query)
            request.with_payload.CopyFrom(including(*ALWAYS, *(path_of(name) for name in fields)))
        async with deadline(query.within_s):
            hits = await (self._one_channel(requests[0], query) if len(requests) == 1 else self._fused(requests, query))
        return await columns_of(hits, fields)

    async def _one_channel(self, request: grpc.QueryPoints, query: IndexQuery) -> list[ScoredPayload]:
        request.offset = query.offset
        return [(point.payload, point.score) for point in await self._points.query(request)]

    async def _fused(self, requests: Sequence[grpc.QueryPoints], query: IndexQuery) -> list[ScoredPayload]:
        dense, lexical = await self._points.query_batch(requests)
        payloads = {point.id.uuid: point.payload for channel in (dense, lexical) for point in channel}
        best = fused(query.fusion, scores_of(dense), scores_of(lexical))[query.offset : query.offset + query.limit]
        return [(payloads[i], score) for i, score in best]


async def columns_of(hits: Sequence[ScoredPayload], fields: Sequence[str]) -> CandidateColumns:
    """The columns of hits whose payloads have the fields of ALWAYS and `fields`."""
    tenants: list[str] = []
    ids: list[str] = []
    scores: list[float] = []
    content_versions: list[int] = []
    offer_versions: list[int] = []
    columns: dict[str, list[object]] = {name: [] for name in fields}
    for start in range(0, len(hits), HITS_PER_STEP):
        if start:
            await asyncio.sleep(0)
        for payload, score in hits[start : start + HITS_PER_STEP]:
            tenants.append(payload["tenant"].string_value)
            ids.append(payload["id"].string_value)
            scores.append(score)
            content_versions.append(payload["content_version"].integer_value)
            offer_versions.append(payload["offer_version"].integer_value)
            for name, column in columns.items():
                column.append(_field(payload, name))
    return CandidateColumns(
        tenants,
        ids,
        np.array(scores, dtype=np.float32),
        np.array(content_versions, dtype=np.int64),
        np.array(offer_versions, dtype=np.int64),
        columns,
    )


def _field(payload: Any, name: str) -> object:
    attribute = name.removeprefix(ATTRIBUTE)
    if attribute != name:
        payload, name = payload["attributes"].struct_value.fields, attribute
    return plain(payload[name]) if name in payload else None
