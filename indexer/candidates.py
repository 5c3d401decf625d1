"""The wide and cheap channel: thousands of ids with their scores and versions, as columns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from qdrant_client import AsyncQdrantClient, grpc

from catalog.ask import Ask
from catalog.fusion import fused
from catalog.ports import Columns
from catalog.space import Space
from catalog.state import ATTRIBUTE
from indexer.asks import GraphPolicy, pool_of, queries_of, scores_of, within
from indexer.calls import Points, including
from indexer.conditions import path_of
from indexer.values import plain

ALWAYS = ("tenant", "id", "content_version", "offer_version")

# Hits read in one go: some 3 ms, after which whatever else waits for the event loop has its turn.
TURN = 2000


class QdrantCandidates:
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
        self._points = Points(client, collection=collection, timeout_s=timeout_s)
        self._space = space
        self._policy = policy

    async def candidates(self, ask: Ask, *, fields: Sequence[str] = ()) -> Columns:
        """The live products that answer, best first. `fields` are payload fields, attributes.NAME for an attribute."""
        payload = including(*ALWAYS, *(path_of(name) for name in fields))
        async with within(ask.within_s):
            found = await self._found(queries_of(ask, self._space, self._policy), ask, payload)
            return await columns_of(found, fields)

    async def _found(
        self, queries: Sequence[grpc.QueryPoints], ask: Ask, payload: grpc.WithPayloadSelector
    ) -> Sequence[grpc.ScoredPoint]:
        """The hits of one channel, or of both: fused here, as QdrantShelf does it, but with payloads from the start."""
        for query in queries:
            query.with_payload.CopyFrom(payload)
        if len(queries) == 1:
            queries[0].limit, queries[0].offset = ask.limit, ask.offset
            return await self._points.query(queries[0])
        for query in queries:
            query.limit = pool_of(ask)
        dense, lexical = await self._points.query_batch(queries)
        points = {point.id.uuid: point for channel in (lexical, dense) for point in channel}
        best = fused(ask.fusion, scores_of(dense), scores_of(lexical))[ask.offset : ask.offset + ask.limit]
        for id_, score in best:
            points[id_].score = score
        return [points[id_] for id_, _ in best]


async def columns_of(found: Sequence[grpc.ScoredPoint], fields: Sequence[str]) -> Columns:
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
        for point in found[start : start + TURN]:
            payload = point.payload
            tenants.append(payload["tenant"].string_value)
            ids.append(payload["id"].string_value)
            scores.append(point.score)
            content.append(payload["content_version"].integer_value)
            offer.append(payload["offer_version"].integer_value)
            for name, column in asked.items():
                column.append(_field(payload, name))
    return Columns(
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
