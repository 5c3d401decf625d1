"""Thousands of candidates in one call: latency, CPU and memory, compared with the client's models and full hits.

The HTTP contenders run the whole service in this process, without sockets and without the encoder.

python -m benchmarks.candidates                              the embedded engine, in a temporary folder
python -m benchmarks.candidates --url http://127.0.0.1:6334  gRPC address of a Qdrant server; --pid adds its CPU time
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

import httpx
import numpy as np
import psutil
from qdrant_client import AsyncQdrantClient, models

from benchmarks.index_writes import BATCH, CallMeter, address, puts, space
from catalog.domain.index_query import IndexQuery
from catalog.domain.space import FUSED, Space
from catalog.ports import Vector
from catalog.query.candidates import CandidateService
from catalog.query.search import SearchService
from encoders.images import ImageFetcher, ImagePolicy
from indexer import (
    CollectionPolicy,
    QdrantCandidateReader,
    QdrantFacetReader,
    QdrantReader,
    QdrantWriter,
    connect,
    ensure,
)
from indexer.candidates import ALWAYS
from search import Dependencies, create_app, index_health
from search.schemas.candidate_formats import ARROW, JSON, LINES

Contender = Callable[[int], Awaitable[object]]


@dataclass(frozen=True)
class CandidateRun:
    """The sizes of the run. `pid` is the index's process, if it runs on this machine."""

    products: int
    limit: int
    times: int
    soak: int
    dim: int
    pid: int | None


@dataclass(frozen=True)
class Seeds:
    """A QueryEncoder without cost: the text is the seed of the vector."""

    space: Space

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        return vector_of(int(text or 0), self.space.vectors[FUSED])


def service(client: AsyncQdrantClient, collection: str, vector_space: Space) -> httpx.AsyncClient:
    """An HTTP client of a search service that runs in this process."""
    shelf = QdrantReader(client, collection=collection, space=vector_space, timeout_s=60)
    search_service = SearchService(
        product_reader=shelf,
        vector_reader=shelf,
        facet_reader=QdrantFacetReader(client, collection=collection),
        encoder=Seeds(vector_space),
    )
    dependencies = Dependencies(
        search_service=search_service,
        candidate_service=CandidateService(
            candidate_reader=QdrantCandidateReader(client, collection=collection, space=vector_space, timeout_s=60),
            search_service=search_service,
        ),
        product_reader=shelf,
        images=ImageFetcher(ImagePolicy()),
        health=index_health(shelf, space=vector_space.id),
        collection=collection,
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(dependencies)), base_url="http://127.0.0.1")


async def measure(url: str, run: CandidateRun) -> None:
    client = connect(url, api_key=None, timeout_s=60)
    policy = CollectionPolicy(name=f"benchmark-{uuid4().hex[:8]}")
    vector_space = space(run.dim)
    collection = await ensure(client, vector_space, policy)
    try:
        index = QdrantWriter(client, collection=collection, space=vector_space)
        writes = puts(run.products, run.dim, 1)
        for i in range(0, len(writes), BATCH):
            await index.write(writes[i : i + BATCH])
        del writes
        async with service(client, collection, vector_space) as http:
            await compare(run, client, collection, http)
            await soak(run, http)
    finally:
        await client.delete_collection(collection)
        await client.close()


async def compare(run: CandidateRun, client: AsyncQdrantClient, collection: str, http: httpx.AsyncClient) -> None:
    """Runs the contenders by turns, query by query, so that other load affects all of them equally."""
    vector_space = space(run.dim)
    reader = QdrantCandidateReader(client, collection=collection, space=vector_space, timeout_s=60)
    shelf = QdrantReader(client, collection=collection, space=vector_space, timeout_s=60)
    live = models.Filter(must=[models.FieldCondition(key="live", match=models.MatchValue(value=True))])

    async def through_models(n: int) -> None:
        await client.query_points(
            collection,
            query=vector_of(n, run.dim).tolist(),
            using=FUSED,
            query_filter=live,
            limit=run.limit,
            with_payload=list(ALWAYS),
        )

    def query_of(n: int, limit: int = run.limit) -> IndexQuery:
        return IndexQuery(vector=vector_of(n, run.dim), limit=limit)

    contenders: dict[str, Contender] = {
        "candidates": lambda n: reader.candidates(query_of(n)),
        "candidates with price": lambda n: reader.candidates(query_of(n), fields=["price"]),
        "over HTTP, JSON": lambda n: over_http(http, n, run.limit, JSON),
        "over HTTP, lines": lambda n: over_http(http, n, run.limit, LINES),
        "over HTTP, Arrow": lambda n: over_http(http, n, run.limit, ARROW),
        "candidates through the client's models": through_models,
        "whole hits": lambda n: shelf.search(query_of(n)),
        "10 candidates": lambda n: reader.candidates(query_of(n, 10)),
    }
    for contender in contenders.values():
        await contender(0)
    meter = CallMeter(run.pid)
    for n in range(run.times):
        for name, contender in contenders.items():
            await meter.timed(name, contender(n))
    print(f"{run.limit} of {run.products} products, {run.times} queries each")
    print(f"{'':<40} {'p50':>9} {'p99':>9}   CPU: client  index")
    for name, took in meter.took.items():
        walls = sorted(1000 * wall for wall, _, _ in took)
        cpu = [1000 * statistics.mean(column) for column in list(zip(*took, strict=True))[1:]]
        p99 = walls[int(0.99 * len(walls))]
        print(f"{name:<40} {statistics.median(walls):>6.1f} ms {p99:>6.1f} ms   {cpu[0]:>6.1f} ms {cpu[1]:>6.1f} ms")


async def over_http(http: httpx.AsyncClient, n: int, limit: int, accept: str) -> None:
    query = {"text": str(n), "limit": limit, "timeout_ms": 30_000}
    response = await http.post("/v1/candidates", json=query, headers={"accept": accept})
    if response.status_code != 200:
        raise SystemExit(response.text)


async def soak(run: CandidateRun, http: httpx.AsyncClient) -> None:
    """Sends one query after another over HTTP and prints the memory of service and index."""
    processes = {"service": psutil.Process()} | ({"index": psutil.Process(run.pid)} if run.pid else {})
    for n in range(run.soak):
        await over_http(http, n, run.limit, JSON)
        if n % (run.soak // 5) == 0 or n == run.soak - 1:
            used = ", ".join(f"{name} {p.memory_info().rss / 2**20:.0f} MB" for name, p in processes.items())
            print(f"after {n + 1} queries: {used}")


def vector_of(seed: int, dim: int) -> Vector:
    return np.random.default_rng(seed).standard_normal(dim).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="gRPC address of a Qdrant server (default: an embedded engine)")
    parser.add_argument("--products", type=int, default=40_057)
    parser.add_argument("--limit", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--soak", type=int, default=2000, help="queries in a row, to see whether memory grows")
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--pid", type=int, help="the server's process, for its CPU time")
    options = parser.parse_args()
    with address(options.url, options.pid) as (url, pid):
        run = CandidateRun(options.products, options.limit, options.times, max(5, options.soak), options.dim, pid)
        asyncio.run(measure(url, run))


if __name__ == "__main__":
    main()
