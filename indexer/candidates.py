"""The wide and cheap channel: thousands of ids with their scores and versions, as columns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from qdrant_client import AsyncQdrantClient, grpc

from catalog.ask import Ask
from catalog.errors import Misuse
from catalog.ports import Columns
from catalog.space import Space
from catalog.state import ATTRIBUTE
from indexer.calls import Points, including
from indexer.conditions import live_and, path_of
from indexer.points import dense
from indexer.values import plain

ALWAYS = ("tenant", "id", "content_version", "offer_version")

# Hits read in one go: some 3 ms, after which whatever else waits for the event loop has its turn.
TURN = 2000


class QdrantCandidates:
    """Candidates on one collection or alias.

    `timeout_s` is the deadline of calls that bring none of their own. Raises Unavailable, Hopeless, and Misuse for a
    vector of another shape or a field that no path leads to.
    """

    def __init__(self, client: AsyncQdrantClient, *, collection: str, space: Space, timeout_s: float = 10.0) -> None:
        self._points = Points(client, collection=collection, timeout_s=timeout_s)
        self._space = space

    async def candidates(self, ask: Ask, *, fields: Sequence[str] = ()) -> Columns:
        """The live products that answer, best first. `fields` are payload fields, attributes.NAME for an attribute."""
        vector = ask.vector
        if vector is None or vector.shape != (self._space.vectors.get(ask.using),) or not np.isfinite(vector).all():
            raise Misuse(f"the query's vector is not one of the vectors {ask.using!r} of the space {self._space.id}")
        found = await self._points.query(
            dense(vector),
            using=ask.using,
            where=live_and(ask.conditions),
            limit=ask.limit,
            payload=including(*ALWAYS, *(path_of(name) for name in fields)),
            exact=ask.exact,
        )
        return await columns_of(found, fields)


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
