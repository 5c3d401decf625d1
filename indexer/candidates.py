"""The wide and cheap channel: thousands of ids with their scores and versions, as columns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from qdrant_client import AsyncQdrantClient, grpc

from catalog.ask import Ask
from catalog.errors import Unavailable
from catalog.fusion import fused
from catalog.ports import Columns
from catalog.space import Space
from catalog.state import ATTRIBUTE
from indexer.asks import GraphPolicy, queries_of
from indexer.calls import Points, including
from indexer.conditions import path_of
from indexer.values import plain

ALWAYS = ("tenant", "id", "content_version", "offer_version")

# Hits read in one go: some 3 ms, after which whatever else waits for the event loop has its turn.
TURN = 2000


class QdrantCandidates:
    """Candidates on one collection or alias.

    `timeout_s` is the deadline of every call. Raises Unavailable, Hopeless, and Misuse for a vector of another shape or
    a field that no path leads to.
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
        queries = queries_of(ask, self._space, self._policy)
        payload = including(*ALWAYS, *(path_of(name) for name in fields))
        for query in queries:
            query.with_payload.CopyFrom(payload)
        try:
            async with asyncio.timeout(ask.within_s):
                found = await (self._one(queries[0], ask) if len(queries) == 1 else self._fused(queries, ask))
                return await _columns(found, fields)
        except TimeoutError as error:
            raise Unavailable(f"Qdrant did not search within {ask.within_s} s") from error

    async def _one(self, query: grpc.QueryPoints, ask: Ask) -> list[tuple[grpc.ScoredPoint, float]]:
        query.limit, query.offset = ask.limit, ask.offset
        return [(point, point.score) for point in await self._points.query(query)]

    async def _fused(self, queries: Sequence[grpc.QueryPoints], ask: Ask) -> list[tuple[grpc.ScoredPoint, float]]:
        for query in queries:
            query.limit = max(ask.pool, ask.offset + ask.limit)
        points: dict[str, grpc.ScoredPoint] = {}
        channels: list[list[tuple[str, float]]] = []
        for found in await self._points.query_batch(queries):
            named = [(point.id.uuid, point) for point in found]
            points.update(named)
            channels.append([(name, point.score) for name, point in named])
        best = fused(ask.fusion, *channels)[ask.offset : ask.offset + ask.limit]
        return [(points[name], score) for name, score in best]


async def _columns(found: Sequence[tuple[grpc.ScoredPoint, float]], fields: Sequence[str]) -> Columns:
    """The columns of hits, whose payloads have the fields of ALWAYS and the given ones."""
    tenants: list[str] = []
    ids: list[str] = []
    content: list[int] = []
    offer: list[int] = []
    asked: dict[str, list[object]] = {name: [] for name in fields}
    for start in range(0, len(found), TURN):
        if start:
            await asyncio.sleep(0)
        for point, _ in found[start : start + TURN]:
            payload = point.payload
            tenants.append(payload["tenant"].string_value)
            ids.append(payload["id"].string_value)
            content.append(payload["content_version"].integer_value)
            offer.append(payload["offer_version"].integer_value)
            for name, column in asked.items():
                column.append(_field(payload, name))
    return Columns(
        tenants,
        ids,
        np.array([score for _, score in found], dtype=np.float32),
        np.array(content, dtype=np.int64),
        np.array(offer, dtype=np.int64),
        asked,
    )


def _field(payload: Any, name: str) -> object:
    attribute = name.removeprefix(ATTRIBUTE)
    if attribute != name:
        payload, name = payload["attributes"].struct_value.fields, attribute
    return plain(payload[name]) if name in payload else None
