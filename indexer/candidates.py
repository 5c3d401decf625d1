"""The wide and cheap channel: thousands of ids with their scores and versions, as columns."""

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
from indexer.qdrant.queries import GraphPolicy, deadline, pool_of, queries_of, scores_of

# A hit's payload and its score.
Scored = tuple[Any, float]

ALWAYS = ("tenant", "id", "content_version", "offer_version")

# Hits read in one go: some 3 ms, after which whatever else waits for the event loop has its turn.
TURN = 2000


class QdrantCandidateReader:
    """Candidates on one collection or alias.

    `timeout_s` is the deadline of calls that bring none of their own. Raises Unavailable, Hopeless, and Misuse for a
    vector of another shape or a field that no path leads to.
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

    async def candidates(self, ask: IndexQuery, *, fields: Sequence[str] = ()) -> CandidateColumns:
        """The live products that answer, best first. `fields` are payload fields, attributes.NAME for an attribute."""
        queries = queries_of(ask, self._space, self._policy)
        for query in queries:
            query.limit = ask.limit if len(queries) == 1 else pool_of(ask)
            query.with_payload.CopyFrom(including(*ALWAYS, *(path_of(name) for name in fields)))
        async with deadline(ask.within_s):
            found = await (self._one(queries[0], ask) if len(queries) == 1 else self._fused(queries, ask))
        return await columns_of(found, fields)

    async def _one(self, query: grpc.QueryPoints, ask: IndexQuery) -> list[Scored]:
        query.offset = ask.offset
        return [(point.payload, point.score) for point in await self._points.query(query)]

    async def _fused(self, queries: Sequence[grpc.QueryPoints], ask: IndexQuery) -> list[Scored]:
        dense, lexical = await self._points.query_batch(queries)
        there = {point.id.uuid: point.payload for found in (dense, lexical) for point in found}
        best = fused(ask.fusion, scores_of(dense), scores_of(lexical))[ask.offset : ask.offset + ask.limit]
        return [(there[i], score) for i, score in best]


async def columns_of(found: Sequence[Scored], fields: Sequence[str]) -> CandidateColumns:
    """The columns of hits that have the payload fields of ALWAYS and the given ones."""
    tenants: list[str] = []
    ids: list[str] = []
    scores: list[float] = []
    content: list[int] = []
    offer: list[int] = []
    asked: dict[str, list[object]] = {name: [] for name in fields}
    for start in range(0, len(found), TURN):
        if start:
            await asyncio.sleep(0)
        for payload, score in found[start : start + TURN]:
            tenants.append(payload["tenant"].string_value)
            ids.append(payload["id"].string_value)
            scores.append(score)
            content.append(payload["content_version"].integer_value)
            offer.append(payload["offer_version"].integer_value)
            for name, column in asked.items():
                column.append(_field(payload, name))
    return CandidateColumns(
        tenants,
        ids,
        np.array(scores, dtype=np.float32),
        np.array(content, dtype=np.int64),
        np.array(offer, dtype=np.int64),
        asked,
    )


def _field(payload: Any, name: str) -> object:
    attribute = name.removeprefix(ATTRIBUTE)
    if attribute != name:
        payload, name = payload["attributes"].struct_value.fields, attribute
    return plain(payload[name]) if name in payload else None
