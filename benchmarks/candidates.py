"""Thousands of candidates in one call: latency, CPU and peak memory, beside the client's models and beside whole hits.

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

import numpy as np
import psutil
from qdrant_client import AsyncQdrantClient, models

from benchmarks.index_writes import BATCH, Meter, address, puts, space
from catalog.ask import Ask
from catalog.ports import Vector
from catalog.space import FUSED
from indexer import CollectionPolicy, QdrantCandidates, QdrantIndex, QdrantShelf, connect, ensure
from indexer.candidates import ALWAYS

Contender = Callable[[Vector], Awaitable[object]]


@dataclass(frozen=True)
class Run:
    """What is measured. `pid` is the index's process, if it is on this machine."""

    products: int
    limit: int
    times: int
    soak: int
    dim: int
    pid: int | None


async def measure(url: str, run: Run) -> None:
    client = connect(url, api_key=None, timeout_s=60)
    policy = CollectionPolicy(name=f"benchmark-{uuid4().hex[:8]}")
    here = space(run.dim)
    collection = await ensure(client, here, policy)
    try:
        index = QdrantIndex(client, collection=collection, space=here)
        writes = puts(run.products, run.dim, 1)
        for i in range(0, len(writes), BATCH):
            await index.write(writes[i : i + BATCH])
        del writes
        channel = QdrantCandidates(client, collection=collection, space=here)
        shelf = QdrantShelf(client, collection=collection, space=here)
        await beside(run, channel, shelf, client, collection)
        await soak(run, channel)
    finally:
        await client.delete_collection(collection)
        await client.close()


async def beside(
    run: Run, channel: QdrantCandidates, shelf: QdrantShelf, client: AsyncQdrantClient, collection: str
) -> None:
    """The contenders take turns at every query, so that a busy machine is equally busy for each."""
    live = models.Filter(must=[models.FieldCondition(key="live", match=models.MatchValue(value=True))])

    async def through_models(vector: Vector) -> None:
        await client.query_points(
            collection,
            query=vector.tolist(),
            using=FUSED,
            query_filter=live,
            limit=run.limit,
            with_payload=list(ALWAYS),
        )

    contenders: dict[str, Contender] = {
        "candidates": lambda v: channel.candidates(Ask(vector=v, limit=run.limit)),
        "candidates, with price": lambda v: channel.candidates(Ask(vector=v, limit=run.limit), fields=["price"]),
        "the same through the client's models": through_models,
        "whole hits": lambda v: shelf.search(Ask(vector=v, limit=run.limit)),
        "10 whole hits": lambda v: shelf.search(Ask(vector=v, limit=10)),
    }
    for contender in contenders.values():
        await contender(vector_of(0, run.dim))
    meter = Meter(run.pid)
    for n in range(run.times):
        for name, contender in contenders.items():
            await meter.timed(name, contender(vector_of(n, run.dim)))
    print(f"{run.limit} of {run.products} products, {run.times} queries each")
    print(f"{'':<40} {'p50':>9} {'p99':>9}   CPU: client  index")
    for name, took in meter.took.items():
        walls = sorted(1000 * wall for wall, _, _ in took)
        cpu = [1000 * statistics.mean(column) for column in list(zip(*took, strict=True))[1:]]
        p99 = walls[int(0.99 * len(walls))]
        print(f"{name:<40} {statistics.median(walls):>6.1f} ms {p99:>6.1f} ms   {cpu[0]:>6.1f} ms {cpu[1]:>6.1f} ms")


async def soak(run: Run, channel: QdrantCandidates) -> None:
    """One query after another: whether memory stays where it was."""
    processes = {"client": psutil.Process()} | ({"index": psutil.Process(run.pid)} if run.pid else {})
    for n in range(run.soak):
        await channel.candidates(Ask(vector=vector_of(n, run.dim), limit=run.limit))
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
        run = Run(chosen.products, chosen.limit, chosen.times, max(5, chosen.soak), chosen.dim, pid)
        asyncio.run(measure(url, run))


if __name__ == "__main__":
    main()
