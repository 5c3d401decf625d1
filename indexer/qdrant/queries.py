"""What is asked of the collection, as Qdrant's queries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
from qdrant_client import grpc

from catalog.domain.index_query import IndexQuery
from catalog.domain.space import Space
from catalog.errors import InvalidInput, Unavailable
from indexer.qdrant.bm25 import LEXICAL, write_document
from indexer.qdrant.filters import live_and
from indexer.qdrant.points import dense


@dataclass(frozen=True, slots=True)
class GraphPolicy:
    """How a graph is searched, where an Ask does not say. None leaves a number to Qdrant.

    `ef` is how many candidates a search of the graph keeps; it is never less than what is asked for. Qdrant's own, 100,
    finds too few of the nearest where queries are words and points have photos: see docs/performance.md. `rescore` and
    `oversampling` are for quantized vectors: whether the best are compared again as they are, and how many more than
    asked for.
    """

    ef: int | None = 384
    rescore: bool | None = None
    oversampling: float | None = None


def queries_of(ask: IndexQuery, space: Space, policy: GraphPolicy = GraphPolicy()) -> list[grpc.QueryPoints]:
    """One query for each channel, the dense one first, without collection, limit and payload. Raises InvalidInput."""
    where = live_and(ask.conditions, without=ask.without)
    found = []
    if ask.vector is not None:
        found.append(_dense(ask, space, where, policy))
    if ask.words is not None:
        found.append(_lexical(ask.words, where))
    if not found:
        raise InvalidInput("a search needs a vector or words: give it some text or an image")
    return found


def pool_of(ask: IndexQuery) -> int:
    """How many each channel brings to a fusion."""
    return max(ask.pool, ask.offset + ask.limit)


def scores_of(found: Sequence[grpc.ScoredPoint]) -> list[tuple[str, float]]:
    """A channel as `catalog.fusion.fused` takes it."""
    return [(point.id.uuid, point.score) for point in found]


@asynccontextmanager
async def deadline(seconds: float | None) -> AsyncIterator[None]:
    """What is done inside is called off after `seconds`; raises Unavailable then.

    It says nothing about Qdrant's health, so no circuit opens for those who would have waited longer.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Unavailable(f"Qdrant did not search within {seconds} s") from error


def _dense(ask: IndexQuery, space: Space, where: grpc.Filter, policy: GraphPolicy) -> grpc.QueryPoints:
    vector = ask.vector
    if vector is None or vector.shape != (space.vectors.get(ask.using),) or not np.isfinite(vector).all():
        raise InvalidInput(f"the query's vector is not one of the vectors {ask.using!r} of the space {space.id}")
    params = grpc.SearchParams(exact=ask.exact, hnsw_ef=ask.ef or policy.ef)
    if policy.rescore is not None or policy.oversampling is not None:
        quantization = grpc.QuantizationSearchParams(rescore=policy.rescore, oversampling=policy.oversampling)
        params.quantization.CopyFrom(quantization)
    nearest = grpc.VectorInput(dense=dense(vector))
    return grpc.QueryPoints(query=grpc.Query(nearest=nearest), using=ask.using, filter=where, params=params)


def _lexical(words: str, where: grpc.Filter) -> grpc.QueryPoints:
    query = grpc.QueryPoints(using=LEXICAL, filter=where)
    try:
        write_document(query.query.nearest.document, words)
    except ValueError as error:
        raise InvalidInput(f"the words of the query are no text: {error}") from error
    return query
