"""Thousands of candidates in one call: latency, CPU and memory, beside the client's models and beside whole hits.

Over HTTP is the whole service but for sockets and the encoder, in this process.

python -m benchmarks.candidates                              the embedded engine, in a folder that is thrown away
python -m benchmarks.candidates --url http://127.0.0.1:6334  a Qdrant server's gRPC address, with --pid its CPU time
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
    """What is measured. `pid` is the index's process, if it is on this machine."""

    products: int
    limit: int
    times: int
    soak: int
    dim: int
    pid: int | None


@dataclass(frozen=True)
class Seeds:
    """A QueryEncoder that takes no time: a text is the seed of its vector."""

    space: Space

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        return vector_of(int(text or 0), self.space.vectors[FUSED])


def service(client: AsyncQdrantClient, collection: str, here: Space) -> httpx.AsyncClient:
    """A client of the service in this process."""
    shelf = QdrantReader(client, collection=collection, space=here, timeout_s=60)
    search_service = SearchService(
        product_reader=shelf,
        vector_reader=shelf,
        facet_reader=QdrantFacetReader(client, collection=collection),
        encoder=Seeds(here),
    )
    dependencies = Dependencies(
        search_service=search_service,
        candidate_service=CandidateService(
            candidate_reader=QdrantCandidateReader(client, collection=collection, space=here, timeout_s=60),
            search_service=search_service,
        ),
        product_reader=shelf,
        images=ImageFetcher(ImagePolicy()),
        health=index_health(shelf, space=here.id),
        collection=collection,
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(dependencies)), base_url="http://127.0.0.1")


async def measure(url: str, run: CandidateRun) -> None:
    client = connect(url, api_key=None, timeout_s=60)
    policy = CollectionPolicy(name=f"benchmark-{uuid4().hex[:8]}")
    here = space(run.dim)
    collection = await ensure(client, here, policy)
    try:
        index = QdrantWriter(client, collection=collection, space=here)
        writes = puts(run.products, run.dim, 1)
        for i in range(0, len(writes), BATCH):
            await index.write(writes[i : i + BATCH])
        del writes
        async with service(client, collection, here) as http:
            await beside(run, client, collection, http)
            await soak(run, http)
    finally:
        await client.delete_collection(collection)
        await client.close()


async def beside(run: CandidateRun, client: AsyncQdrantClient, collection: str, http: httpx.AsyncClient) -> None:
    """The contenders take turns at every query, so that a busy machine is equally busy for each."""
    here = space(run.dim)
    channel = QdrantCandidateReader(client, collection=collection, space=here, timeout_s=60)
    shelf = QdrantReader(client, collection=collection, space=here, timeout_s=60)
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

    def ask(n: int, limit: int = run.limit) -> IndexQuery:
        return IndexQuery(vector=vector_of(n, run.dim), limit=limit)

    contenders: dict[str, Contender] = {
        "candidates": lambda n: channel.candidates(ask(n)),
        "candidates with price": lambda n: channel.candidates(ask(n), fields=["price"]),
        "over HTTP, JSON": lambda n: over_http(http, n, run.limit, JSON),
        "over HTTP, lines": lambda n: over_http(http, n, run.limit, LINES),
        "over HTTP, Arrow": lambda n: over_http(http, n, run.limit, ARROW),
        "candidates through the client's models": through_models,
        "whole hits": lambda n: shelf.search(ask(n)),
        "10 candidates": lambda n: channel.candidates(ask(n, 10)),
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
    answer = await http.post("/v1/candidates", json=query, headers={"accept": accept})
    if answer.status_code != 200:
        raise SystemExit(answer.text)


async def soak(run: CandidateRun, http: httpx.AsyncClient) -> None:
    """One query after another over HTTP: whether memory stays where it was."""
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
    chosen = parser.parse_args()
    with address(chosen.url, chosen.pid) as (url, pid):
        run = CandidateRun(chosen.products, chosen.limit, chosen.times, max(5, chosen.soak), chosen.dim, pid)
        asyncio.run(measure(url, run))


if __name__ == "__main__":
    main()
