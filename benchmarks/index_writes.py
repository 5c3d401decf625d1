"""How fast the index takes writes and answers, guarded against unguarded; the last column is the ratio to unguarded.

python -m benchmarks.index_writes                              the embedded engine, in a folder that is thrown away
python -m benchmarks.index_writes --url http://127.0.0.1:6334  a Qdrant server's gRPC address
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
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
    """All contenders take turns at every batch, so that a busy machine is equally busy for each; medians are shown."""
    index = QdrantIndex(client, collection=collection, space=here)
    dim = here.vectors[FUSED]
    first, second, third, fourth = (puts(count, dim, version) for version in (1, 2, 3, 4))
    took: dict[str, list[float]] = {}

    async def timed(name: str, call: Awaitable[object]) -> None:
        start = time.perf_counter()
        await call
        took.setdefault(name, []).append(time.perf_counter() - start)

    async def unguarded(writes: Sequence[Write]) -> None:
        points = [point_of(w, here) for w in writes]
        request = grpc.UpsertPoints(collection_name=collection, points=points, wait=True)
        await client.grpc_points.Upsert(request, timeout=60)

    async def guarded(writes: Sequence[Write], moved: int = 0) -> None:
        if len((await index.write(writes)).moved) != moved:
            raise SystemExit("a write was refused or applied that should not have been")

    async def stream(starts: Iterator[int]) -> None:
        for i in starts:
            batch = slice(i, i + BATCH)
            await timed("new points, guarded", guarded(first[batch]))
            await timed("changed points, unguarded", unguarded(second[batch]))
            await timed("changed points, guarded, applied", guarded(third[batch]))
            patches = [Write(w.key, w.expect, w.payload) for w in fourth[batch]]
            await timed("price patches, guarded", guarded(patches))
            await timed("changed points, guarded, refused", guarded(third[batch], moved=len(patches)))
            await timed("known", index.known([w.key for w in patches]))

    starts = iter(range(0, count, BATCH))
    await asyncio.gather(*(stream(starts) for _ in range(flight)))
    rate = {name: flight * min(BATCH, count) / statistics.median(times) for name, times in took.items()}
    for name, per_second in rate.items():
        print(f"{name:<52} {per_second:>9,.0f}/s {per_second / rate['changed points, unguarded']:>6.2f}")


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
