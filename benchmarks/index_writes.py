"""How fast the index takes writes and answers: guarded against unguarded, in one run, so that the ratios hold.

python -m benchmarks.index_writes                              the embedded engine, in a folder that is thrown away
python -m benchmarks.index_writes --url http://127.0.0.1:6334  a Qdrant server's gRPC address
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import numpy as np
from qdrant_client import AsyncQdrantClient, grpc

from catalog.change import Stamp
from catalog.ports import Write
from catalog.product import Attribute, Key
from catalog.space import FUSED, IMAGE, Space
from catalog.state import State, payload_of
from embedded.engine.process import EngineProcess
from indexer import CollectionPolicy, QdrantIndex, QdrantShelf, connect, ensure
from indexer.points import point_of

BATCH = 256

T = TypeVar("T")


def space(dim: int) -> Space:
    return Space(model="benchmark", revision="1", preprocessing="none", vectors={FUSED: dim, IMAGE: dim})


def payload(n: int, version: int, price: float) -> dict[str, object]:
    fields: dict[str, Attribute | None] = {
        "price": price,
        "currency": "EUR",
        "available": True,
        "attributes.brand": f"brand {n % 50}",
    }
    stamp = Stamp(version, 0, f"{n:016x}")
    said = payload_of(State(base=stamp, live=True, fields=fields), fingerprint=f"{n:016x}", event_time=version)
    return {**said, "title": f"A title of some fifty letters, as shops have {n}", "images": [f"https://s.example/{n}"]}


def puts(count: int, dim: int, version: int) -> list[Write]:
    """Whole points, expected as `payload` of the version before; of version 1, expected missing."""
    vectors = np.random.default_rng(version).standard_normal((count, 2, dim)).astype(np.float32)
    return [
        Write(
            Key("shop", str(n)),
            str(payload(n, version - 1, version - 1.0)["revision"]) if version > 1 else None,
            payload(n, version, float(version)),
            {FUSED: vectors[n, 0], IMAGE: vectors[n, 1]},
        )
        for n in range(count)
    ]


def patches(count: int, version: int) -> list[Write]:
    expect = [str(payload(n, version - 1, version - 1.0)["revision"]) for n in range(count)]
    return [Write(Key("shop", str(n)), expect[n], payload(n, version, float(version))) for n in range(count)]


async def timed(name: str, items: Sequence[T], each: Callable[[Sequence[T]], Awaitable[object]], flight: int) -> float:
    """Items a second, in batches, `flight` of them at a time."""
    batches = iter([items[i : i + BATCH] for i in range(0, len(items), BATCH)])

    async def stream() -> None:
        for batch in batches:
            await each(batch)

    start = time.perf_counter()
    await asyncio.gather(*(stream() for _ in range(flight)))
    rate = len(items) / (time.perf_counter() - start)
    print(f"{name:<52} {rate:>9,.0f}/s")
    return rate


async def queries(shelf: QdrantShelf, dim: int, limit: int, times: int) -> None:
    took = []
    for vector in np.random.default_rng(0).standard_normal((times, dim)).astype(np.float32):
        start = time.perf_counter()
        await shelf.search(vector, using=FUSED, limit=limit, conditions=())
        took.append((time.perf_counter() - start) * 1000)
    p99 = sorted(took)[int(len(took) * 0.99)]
    print(f"{f'query, {limit} hits, p50 / p99 of {times}':<52} {statistics.median(took):>6.1f} / {p99:.1f} ms")


async def measure(url: str, count: int, dim: int, flight: int) -> None:
    client = connect(url, api_key=None, timeout_s=60)
    made = CollectionPolicy(name=f"benchmark-{uuid4().hex[:8]}")
    here = space(dim)
    collection = await ensure(client, here, made)
    try:
        await rates(client, collection, here, count, flight)
        shelf = QdrantShelf(client, collection=made.name, space=here)
        await queries(shelf, dim, limit=10, times=200)
        await queries(shelf, dim, limit=min(1000, count), times=30)
    finally:
        await client.delete_collection(collection)
        await client.close()


async def rates(client: AsyncQdrantClient, collection: str, here: Space, count: int, flight: int) -> None:
    index = QdrantIndex(client, collection=collection, space=here)
    dim = here.vectors[FUSED]

    async def unguarded(writes: Sequence[Write]) -> None:
        points = [point_of(w, here) for w in writes]
        await client.grpc_points.Upsert(
            grpc.UpsertPoints(collection_name=collection, points=points, wait=True), timeout=60
        )

    async def applied(writes: Sequence[Write]) -> None:
        if (await index.write(writes)).moved:
            raise SystemExit("a write was refused though nobody else writes here")

    async def refused(writes: Sequence[Write]) -> None:
        if len((await index.write(writes)).moved) != len(writes):
            raise SystemExit("a stale write was not refused")

    await timed("new points, guarded", puts(count, dim, 1), applied, flight)
    plain = await timed("the same again, unguarded", puts(count, dim, 1), unguarded, flight)
    second = puts(count, dim, 2)
    guarded = await timed("changed points, guarded, applied", second, applied, flight)
    await timed("price patches, guarded", patches(count, 3), applied, flight)
    await timed("changed points, guarded, refused", puts(count, dim, 2)[: count // 2], refused, flight)
    await timed("known", [w.key for w in second], index.known, flight)
    print(f"{'guarded / unguarded':<52} {guarded / plain:>9.2f}")


@contextmanager
def address(url: str | None) -> Iterator[str]:
    if url:
        yield url
        return
    with tempfile.TemporaryDirectory() as folder, EngineProcess.start(Path(folder)) as engine:
        yield engine.url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="gRPC address of a Qdrant server (default: an embedded engine)")
    parser.add_argument("--points", type=int, default=20 * BATCH)
    parser.add_argument("--dim", type=int, default=256, help="of each of the two vectors of a point")
    parser.add_argument("--flight", type=int, default=1, help="batches in flight at a time")
    chosen = parser.parse_args()
    with address(chosen.url) as url:
        asyncio.run(measure(url, chosen.points, chosen.dim, chosen.flight))


if __name__ == "__main__":
    main()
