"""Writes a second and query latency of the index: the ratio to unguarded writes, and CPU time of client and index.

python -m benchmarks.index_writes                              the embedded engine, in a temporary folder
python -m benchmarks.index_writes --url http://127.0.0.1:6334  gRPC address of a Qdrant server; --pid adds its CPU time

CPU times are split by contender only if one batch is in flight at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import psutil
from qdrant_client import AsyncQdrantClient, grpc

from catalog.domain.change import VersionStamp
from catalog.domain.index_query import IndexQuery
from catalog.domain.product import Attribute, ProductKey
from catalog.domain.space import FUSED, IMAGE, Space
from catalog.domain.state import ProductState, indexed_state_from, payload_of
from catalog.ports import ProductWrite
from embedded.engine.process import EngineProcess
from indexer import CollectionPolicy, QdrantReader, QdrantWriter, connect, ensure
from indexer.qdrant.points import point_of

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
    stamp = VersionStamp(version, 0, f"{n:016x}")
    fields_of_point = payload_of(
        ProductState(base=stamp, live=True, fields=fields), fingerprint=f"{n:016x}", event_time=version
    )
    return {
        **fields_of_point,
        "title": f"A title of some fifty letters, as shops have {n}",
        "images": [f"https://s.example/{n}"],
    }


def puts(count: int, dim: int, version: int) -> list[ProductWrite]:
    """Writes of full points that expect the revision of the version before; those of version 1 expect no point."""
    vectors = np.random.default_rng(version).standard_normal((count, 2, dim)).astype(np.float32)
    return [
        ProductWrite(
            ProductKey("shop", str(n)),
            str(payload(n, version - 1, version - 1.0)["revision"]) if version > 1 else None,
            payload(n, version, float(version)),
            {FUSED: vectors[n, 0], IMAGE: vectors[n, 1]},
        )
        for n in range(count)
    ]


def patch_of(n: int, put: ProductWrite, *, patch: int = 1) -> ProductWrite:
    """The `patch`-th patch of price, currency and availability after `put`, with the version stamps it leaves."""
    before = payload(n, 3, 3.0) if patch == 1 else dict(patch_of(n, put).payload)
    state = indexed_state_from(before).state
    stamps = dict.fromkeys(("price", "currency", "available"), VersionStamp(10 * patch, 0, f"{n:016x}"))
    after = replace(state, patched=stamps, fields={**state.fields, "price": 5.0 * patch})
    return ProductWrite(
        put.key, str(before["revision"]), payload_of(after, fingerprint=f"{n:016x}", event_time=10 * patch)
    )


async def queries(shelf: QdrantReader, dim: int, limit: int, times: int) -> None:
    took = []
    for vector in np.random.default_rng(0).standard_normal((times, dim)).astype(np.float32):
        start = time.perf_counter()
        await shelf.search(IndexQuery(vector=vector, limit=limit))
        took.append((time.perf_counter() - start) * 1000)
    p99 = sorted(took)[int(len(took) * 0.99)]
    print(f"{f'query, {limit} hits, p50 / p99 of {times}':<52} {statistics.median(took):>6.1f} / {p99:.1f} ms")


@dataclass(frozen=True)
class WriteRun:
    """The sizes of the run. `pid` is the index's process, if it runs on this machine."""

    points: int
    dim: int
    flight: int
    patch_flight: int
    pid: int | None


class CallMeter:
    """By contender, in seconds: wall time, CPU time of this process, CPU time of the index."""

    def __init__(self, pid: int | None) -> None:
        self._index = psutil.Process(pid) if pid else None
        self.took: dict[str, list[tuple[float, float, float]]] = {}

    def now(self) -> tuple[float, float, float]:
        used = self._index.cpu_times() if self._index else None
        return time.perf_counter(), time.process_time(), used.user + used.system if used else 0.0

    async def timed(self, name: str, call: Awaitable[object]) -> None:
        start = self.now()
        await call
        wall, client, index = (after - before for before, after in zip(start, self.now(), strict=True))
        self.took.setdefault(name, []).append((wall, client, index))

    def show(self, batch: int, flight: int, base: str) -> None:
        print(f"{'':<52} {'':>11} {'ratio':>6} {'client':>9} {'index':>9} CPU")
        unit = {name: flight * batch / statistics.median(w for w, _, _ in took) for name, took in self.took.items()}
        for name, took in self.took.items():
            spent = [1e6 * statistics.mean(column) / batch for column in list(zip(*took, strict=True))[1:]]
            cpu = " ".join(f"{each:>6.0f} us" for each in spent) if flight == 1 else ""
            print(f"{name:<52} {unit[name]:>9,.0f}/s {unit[name] / unit[base]:>6.2f} {cpu}")


async def measure(url: str, run: WriteRun) -> None:
    count, dim = run.points, run.dim
    client = connect(url, api_key=None, timeout_s=60)
    policy = CollectionPolicy(name=f"benchmark-{uuid4().hex[:8]}")
    vector_space = space(dim)
    collection = await ensure(client, vector_space, policy)
    try:
        await rates(client, collection, vector_space, run)
        shelf = QdrantReader(client, collection=policy.name, space=vector_space)
        await queries(shelf, dim, limit=10, times=200)
        await queries(shelf, dim, limit=min(1000, count), times=30)
    finally:
        await client.delete_collection(collection)
        await client.close()


async def rates(client: AsyncQdrantClient, collection: str, vector_space: Space, run: WriteRun) -> None:
    """Runs the contenders by turns, batch by batch, so that other load affects all equally. Prints medians."""
    index = QdrantWriter(client, collection=collection, space=vector_space)
    count, dim = run.points, run.dim
    first, second, third, fourth = (puts(count, dim, version) for version in (1, 2, 3, 4))
    patches = [patch_of(n, w) for n, w in enumerate(fourth)]
    second_patches = [patch_of(n, w, patch=2) for n, w in enumerate(fourth)]
    meter = CallMeter(run.pid)
    timed = meter.timed

    async def unguarded(writes: Sequence[ProductWrite]) -> None:
        points = [point_of(w, vector_space) for w in writes]
        request = grpc.UpsertPoints(collection_name=collection, points=points, wait=True)
        await client.grpc_points.Upsert(request, timeout=60)

    async def guarded(writes: Sequence[ProductWrite], conflicts: int = 0) -> None:
        if len((await index.write(writes)).conflicts) != conflicts:
            raise SystemExit("the index refused or applied a write that it should not have")

    async def stream(starts: Iterator[int]) -> None:
        for i in starts:
            batch = slice(i, i + BATCH)
            await timed("new points, guarded", guarded(first[batch]))
            await timed("changed points, unguarded", unguarded(second[batch]))
            await timed("changed points, guarded, applied", guarded(third[batch]))
            await timed("price patches, guarded", guarded(patches[batch]))
            await timed("changed points, guarded, refused", guarded(third[batch], conflicts=len(third[batch])))
            await timed("known", index.read_states([w.key for w in patches[batch]]))

    async def patching(starts: Iterator[int]) -> None:
        for i in starts:
            await guarded(second_patches[i : i + BATCH])

    starts = iter(range(0, count, BATCH))
    await asyncio.gather(*(stream(starts) for _ in range(run.flight)))
    meter.show(min(BATCH, count), run.flight, base="changed points, unguarded")
    starts, start = iter(range(0, count, BATCH)), meter.now()
    await asyncio.gather(*(patching(starts) for _ in range(run.patch_flight)))
    wall, client_s, index_s = (after - before for before, after in zip(start, meter.now(), strict=True))
    name = f"price patches alone, {run.patch_flight} batches in flight"
    spent = " ".join(f"{1e6 * each / count:>6.0f} us" for each in (client_s, index_s))
    print(f"{name:<52} {count / wall:>9,.0f}/s {'':>6} {spent}")


@contextmanager
def address(url: str | None, pid: int | None) -> Iterator[tuple[str, int | None]]:
    if url:
        yield url, pid
        return
    with tempfile.TemporaryDirectory() as folder, EngineProcess.start(Path(folder)) as engine:
        yield engine.url, engine.pid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="gRPC address of a Qdrant server (default: an embedded engine)")
    parser.add_argument("--points", type=int, default=20 * BATCH)
    parser.add_argument("--dim", type=int, default=256, help="of each of the two vectors of a point")
    parser.add_argument("--flight", type=int, default=1, help="batches in flight at a time")
    parser.add_argument("--patch-flight", type=int, default=4, help="the same for the run of patches alone")
    parser.add_argument("--pid", type=int, help="the server's process, for its CPU time")
    options = parser.parse_args()
    with address(options.url, options.pid) as (url, pid):
        run = WriteRun(options.points, options.dim, options.flight, options.patch_flight, pid)
        asyncio.run(measure(url, run))


if __name__ == "__main__":
    main()
