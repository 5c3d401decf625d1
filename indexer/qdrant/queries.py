"""Converts index queries to Qdrant queries."""

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
from indexer.qdrant.points import dense_vector


@dataclass(frozen=True, slots=True)
class GraphPolicy:
    """Defaults for searching the HNSW graph. None leaves a value to Qdrant.

    `ef` is the number of candidates that a graph search keeps, at least the limit of the query. Qdrant's own default,
    100, misses too many nearest points of text queries among points with photos: see docs/performance.md. `rescore`
    and `oversampling` apply to quantized vectors: whether the best hits are compared again with full-precision vectors,
    and how many times more hits are fetched for that.
    """

    ef: int | None = 384
    rescore: bool | None = None
    oversampling: float | None = None


def qdrant_queries(query: IndexQuery, space: Space, policy: GraphPolicy = GraphPolicy()) -> list[grpc.QueryPoints]:
    """One query for each channel, the dense one first, without collection, limit and payload. Raises InvalidInput."""
    conditions = live_and(query.conditions, without=query.without)
    queries = []
    if query.vector is not None:
        queries.append(_dense_query(query, space, conditions, policy))
    if query.words is not None:
        queries.append(_lexical_query(query.words, conditions))
    if not queries:
        raise InvalidInput("a search needs a vector or words: give it some text or an image")
    return queries


def pool_size(query: IndexQuery) -> int:
    """The number of hits that each channel contributes to a fusion."""
    return max(query.pool, query.offset + query.limit)


def scores_of(points: Sequence[grpc.ScoredPoint]) -> list[tuple[str, float]]:
    """A channel's ids and scores, as `catalog.query.rank_fusion.fused` takes them."""
    return [(point.id.uuid, point.score) for point in points]


@asynccontextmanager
async def deadline(seconds: float | None) -> AsyncIterator[None]:
    """Cancels the body after `seconds` and raises Unavailable.

    A missed deadline says nothing about Qdrant's health, so it does not count for the circuit breaker.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Unavailable(f"Qdrant did not search within {seconds} s") from error


def _dense_query(query: IndexQuery, space: Space, conditions: grpc.Filter, policy: GraphPolicy) -> grpc.QueryPoints:
    vector = query.vector
    if vector is None or vector.shape != (space.vectors.get(query.using),) or not np.isfinite(vector).all():
        raise InvalidInput(f"the query's vector is not one of the vectors {query.using!r} of the space {space.id}")
    params = grpc.SearchParams(exact=query.exact, hnsw_ef=query.ef or policy.ef)
    if policy.rescore is not None or policy.oversampling is not None:
        quantization = grpc.QuantizationSearchParams(rescore=policy.rescore, oversampling=policy.oversampling)
        params.quantization.CopyFrom(quantization)
    nearest = grpc.VectorInput(dense=dense_vector(vector))
    return grpc.QueryPoints(query=grpc.Query(nearest=nearest), using=query.using, filter=conditions, params=params)


def _lexical_query(words: str, conditions: grpc.Filter) -> grpc.QueryPoints:
    query = grpc.QueryPoints(using=LEXICAL, filter=conditions)
    try:
        write_document(query.query.nearest.document, words)
    except ValueError as error:
        raise InvalidInput(f"the words of the query are not text: {error}") from error
    return query
