"""Queries: the service's own cost, the highest rate, behaviour under overload, and the effect of ingestion.

    python -m benchmarks.queries PATH [--only clients,overhead,saturation,ingest,memory] [--vectors FILE.npz]

Starts its own broker, engine and search services. Fills the index with the catalogue's products, under the vectors of
FILE or under random vectors. If FILE does not exist, the default model makes it; `fused` stands for a missing name.
A full scan takes equally long for both; an HNSW graph takes several times longer for random vectors.

Two services run by turns, one that encodes each query alone and one that batches queries, so every ratio is of one run.
`added` is the latency minus the service's own timings of encoding and searching: HTTP, JSON and this script's client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks import index_reads
from benchmarks.http_load import Answer, Words, closed_loop, ms, open_loop
from catalog.domain.change import VersionStamp
from catalog.domain.product import ProductKey
from catalog.domain.space import FUSED
from catalog.domain.state import ProductState, payload_of
from catalog.ports import ProductWrite
from indexer import QdrantWriter, connect, ensure
from liveshelf.bench.harness.catalogue import products
from liveshelf.bench.harness.figures import number
from liveshelf.bench.harness.shop import Shop, open_shop
from liveshelf.bench.parts.freshness import space_of
from liveshelf.settings import load_settings
from liveshelf.wiring.encoder import collection_policy_of
from streams.publish.publisher import Event

PHASES = ("clients", "overhead", "saturation", "ingest", "memory")
CLIENTS = (1, 8, 32)
ROUNDS = 3
BATCH = 256
Rows = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class RunningService:
    """A running search service."""

    name: str
    port: int
    pid: int

    @property
    def cpu_s(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system


@contextmanager
def service(shop: Shop, name: str, **overrides: object) -> Iterator[RunningService]:
    ready = shop.folder / f"{name}.ready"
    settings = shop.settings.model_copy(update={"search_port": 0, "ready_file": ready, **overrides})
    with shop.child(name, "-m", "liveshelf", "serve", ready=ready, settings=settings) as child:
        yield RunningService(name, json.loads(ready.read_text())["port"], child.pid)


def vectors_of(catalogue: Path, file: Path | None, count: int) -> Rows:
    """By name, the vectors (count, dim) of the first `count` products. Empty without `file`; makes a missing file."""
    if file is None:
        return {}
    if not file.exists():
        asyncio.run(index_reads.encode_catalogue(catalogue, file))
    with np.load(file) as arrays:
        rows_by_name = {name: arrays[name][:count] for name in arrays.files}
    if any(len(rows) < count for rows in rows_by_name.values()):
        raise SystemExit(f"{file} has vectors of fewer than {count} products: give another file, or fewer --products")
    return rows_by_name


async def fill(shop: Shop, events: Sequence[Event], rows: Rows) -> None:
    """Writes the products to the index under their vectors, or under random vectors."""
    space = await space_of(shop.settings)
    client = connect(shop.settings.qdrant_url, api_key=None, timeout_s=60)
    try:
        collection = await ensure(client, space, collection_policy_of(shop.settings))
        index = QdrantWriter(client, collection=collection, space=space)
        rng = np.random.default_rng(1)
        state = ProductState(base=VersionStamp(1, 0, ""), live=True)
        for start in range(0, len(events), BATCH):
            writes = []
            for n, event in enumerate(events[start : start + BATCH], start):
                payload = payload_of(state, fingerprint="0", event_time=1)
                payload |= {"title": event["title"], "images": [], "attributes": event.get("attributes", {})}
                random_vectors = {
                    name: rng.standard_normal(dim).astype(np.float32) for name, dim in space.vectors.items()
                }
                raw = {name: rows.get(name, rows[FUSED])[n] for name in space.vectors} if rows else random_vectors
                vectors = {name: vector / np.linalg.norm(vector) for name, vector in raw.items()}
                writes.append(ProductWrite(ProductKey("default", event["id"]), None, payload, vectors))
            await index.write(writes)
    finally:
        await client.close()


def clients(services: Sequence[RunningService], engine: int, words: Words, seconds: float) -> float:
    """Prints both services' throughput by number of clients. Returns the last service's median at the most clients."""
    print("\n| clients | service | answers/s | p50 | p99 | CPU a query, service | engine |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    rates: dict[str, float] = {}
    for count in CLIENTS:
        measured: dict[str, list[tuple[float, list[Answer], float, float]]] = {running.name: [] for running in services}
        for _ in range(ROUNDS):
            for running in services:
                service_cpu, engine_cpu_before, started = running.cpu_s, _cpu(engine), time.perf_counter()
                answers = asyncio.run(closed_loop(running.port, count, seconds / ROUNDS, words))
                took, good = time.perf_counter() - started, [a for a in answers if a.status == 200]
                answered = max(1, len(good))
                cpu, engine_cpu = (
                    (running.cpu_s - service_cpu) / answered,
                    (_cpu(engine) - engine_cpu_before) / answered,
                )
                measured[running.name].append((len(good) / took, good, cpu * 1000, engine_cpu * 1000))
        for running in services:
            rounds = measured[running.name]
            rate, cpu, engine_cpu = (float(np.median([r[i] for r in rounds])) for i in (0, 2, 3))
            answers = [answer for r in rounds for answer in r[1]]
            rates[running.name] = rate
            times = (ms(answers, 50), ms(answers, 99), cpu, engine_cpu)
            cells = " | ".join(f"{time:.2f} ms" for time in times)
            print(f"| {count} | {running.name} | {number(rate)} | {cells} |", flush=True)
    unbatched, batched = (rates[running.name] for running in services)
    print(
        f"\nBatched queries reach {batched / unbatched:.2f} x the rate of unbatched ones at {CLIENTS[-1]} clients.",
        flush=True,
    )
    return batched


def overhead(running: RunningService, words: Words, max_rate: float, seconds: float) -> None:
    """Prints the time that the service adds to encoding and searching, and the latency of a cached query."""
    print("\n| what | sent | encode | search | added p50 | added p99 | in all p50 | p99 |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    asyncio.run(closed_loop(running.port, 1, 1.0, words))
    repeated_text = words()

    def row(what: str, answers: list[Answer]) -> None:
        good = [answer for answer in answers if answer.status == 200]
        added = [answer.added_ms for answer in good]
        parts = (float(np.median([getattr(a, f"{part}_ms") for a in good])) for part in ("encode", "search"))
        cells = (*parts, *np.percentile(added, (50, 99)), ms(good, 50), ms(good, 99))
        print(f"| {what} | {len(answers)} | {' | '.join(f'{cell:.2f} ms' for cell in cells)} |", flush=True)

    row("one client, new texts", asyncio.run(closed_loop(running.port, 1, seconds, words)))
    row("one client, one text repeated", asyncio.run(closed_loop(running.port, 1, seconds, lambda: repeated_text)))
    row(f"{max_rate / 2:.0f}/s, half of saturation", asyncio.run(open_loop(running.port, max_rate / 2, seconds, words)))


def saturation(running: RunningService, words: Words, max_rate: float, seconds: float, deadline_ms: int) -> None:
    """Prints the responses at three times the highest rate, and the time to recover after it."""
    asyncio.run(closed_loop(running.port, 1, 1.0, words))
    idle = ms(asyncio.run(closed_loop(running.port, 1, 3.0, words)), 50)
    answers = asyncio.run(open_loop(running.port, 3 * max_rate, seconds, words, timeout_ms=deadline_ms))
    ended = time.perf_counter()
    recovered_s = float("nan")
    while time.perf_counter() - ended < 30 and np.isnan(recovered_s):
        probes = asyncio.run(closed_loop(running.port, 1, 0.2, words))
        if all(probe.status == 200 for probe in probes) and ms(probes, 50) <= 2 * idle:
            recovered_s = time.perf_counter() - ended - 0.2
    by_status = {status: [a for a in answers if a.status == status] for status in sorted({a.status for a in answers})}
    print(f"\n{3 * max_rate:.0f}/s for {seconds:g} s, deadline {deadline_ms} ms; idle p50 {idle:.1f} ms:\n")
    print("| status | answers | p50 | p99 | max |\n|---:|---:|---:|---:|---:|")
    for status, group in by_status.items():
        print(f"| {status or 'none'} | {len(group)} | {' | '.join(f'{ms(group, q):.0f} ms' for q in (50, 99, 100))} |")
    good = by_status.get(200, [])
    late = sum(answer.took * 1000 > deadline_ms for answer in good)
    print(f"\n{len(good) / seconds:.0f} answered a second, {late} of them after the deadline.")
    print(f"Recovered (at most twice the idle p50) after {recovered_s:.1f} s.")


@dataclass(frozen=True)
class Window:
    """One measurement, with or without queries: products a second, and the good answers."""

    rate: float
    answers: list[Answer]


def window(running: RunningService, words: Words, rate: float, seconds: float) -> Window:
    started, before = time.perf_counter(), _live_products(running)
    answers: list[Answer] = []
    if rate:
        answers = asyncio.run(open_loop(running.port, rate, seconds, words))
    else:
        time.sleep(seconds)
    done = _live_products(running) - before
    return Window(done / (time.perf_counter() - started), [answer for answer in answers if answer.status == 200])


def ingest(
    shop: Shop, running: RunningService, words: Words, events: Sequence[Event], args: argparse.Namespace
) -> None:
    """Prints, for each worker priority, query latency without and with a back-fill, and the back-fill's rate."""
    print(f"\nQueries at {args.rate:g}/s during a back-fill of products with photos:\n")
    print("| worker | idle p50 | p99 | back-fill p50 | p99 | p99 to idle | products alone | with queries | share |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for worker in args.workers:
        nice, _, threads = worker.partition("x")
        name = f"{shop.settings.live_topic}-{worker}"
        overrides: dict[str, object] = {"live_topic": name, "kafka_group_id": name, "backfill_topic": f"{name}-b"}
        overrides |= {"worker_nice": int(nice), **({"encoder_threads": int(threads)} if threads else {})}
        with shop.workers(1, **overrides):
            idle = window(running, words, args.rate, args.seconds)
            new_products = [{**event, "id": f"{worker}-{event['id']}"} for event in events]
            before = _live_products(running)
            shop.send(new_products, topic=f"{name}-b")
            while _live_products(running) < before + BATCH:
                time.sleep(0.2)
            alone_before, with_queries, alone_after = (
                window(running, words, rate, args.seconds) for rate in (0, args.rate, 0)
            )
        rate_alone = (alone_before.rate + alone_after.rate) / 2
        remaining = len(new_products) - (_live_products(running) - before)
        times = [ms(measured.answers, q) for measured in (idle, with_queries) for q in (50, 99)]
        cells = [*(f"{time:.1f} ms" for time in times), f"{times[3] / times[1]:.2f} x"]
        cells += [
            f"{number(rate_alone)}/s",
            f"{number(with_queries.rate)}/s",
            f"{100 * with_queries.rate / rate_alone:.0f} %",
        ]
        print(f"| nice {nice}, {threads or 'all'} threads | {' | '.join(cells)} |", flush=True)
        if remaining <= 0:
            print("\nThe back-fill ended before the queries: give a larger --backlog.")


def memory(running: RunningService, engine: int, words: Words, queries: int) -> None:
    """Prints the memory of service and index while a few clients send `queries` queries."""
    print("\n| queries | service | index |")
    print("|---:|---:|---:|")
    sent, printed = 0, -1
    while sent < queries:
        sent += len(asyncio.run(closed_loop(running.port, CLIENTS[1], 5.0, words)))
        if printed < (printed := 10 * sent // queries):
            resident_mb = (psutil.Process(pid).memory_info().rss / 1e6 for pid in (running.pid, engine))
            print(f"| {sent:,} | {' | '.join(f'{number(mb)} MB' for mb in resident_mb)} |", flush=True)


def _live_products(running: RunningService) -> int:
    with urlopen(f"http://127.0.0.1:{running.port}/v1/status", timeout=30) as response:
        return int(json.load(response)["products"])


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="a catalogue: parquet, JSON lines, or a folder of them")
    parser.add_argument("--only", default=",".join(PHASES), help=f"of {', '.join(PHASES)}")
    parser.add_argument("--products", type=int, default=40_057, help="products in the index")
    parser.add_argument("--vectors", type=Path, help="the products' vectors, as benchmarks.index_reads writes them")
    parser.add_argument("--pid", type=int, help="process of the index, if LIVESHELF_QDRANT_URL is set")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--saturated", type=float, default=60.0, help="seconds at three times the highest rate")
    parser.add_argument("--deadline", type=int, default=2000, help="deadline of a query in ms while saturated")
    parser.add_argument("--most", type=float, help="highest rate in answers a second, instead of measuring it")
    parser.add_argument("--rate", type=float, default=10.0, help="queries a second during a back-fill")
    parser.add_argument(
        "--workers", nargs="+", default=["0", "5", "10", "19"], help="niceness, as in 10, or 10x1 threads"
    )
    parser.add_argument("--queries", type=int, default=20_000, help="queries to send while memory is measured")
    parser.add_argument("--backlog", type=int, default=8000, help="products of the back-fill")
    args = parser.parse_args()
    events = list(products(args.path, max(args.products, args.backlog)))
    rows = vectors_of(args.path, args.vectors, min(args.products, len(events)))
    words = Words([str(event.get("title", "")) for event in events if event.get("title")], random.Random(1))
    with open_shop(load_settings(), photos=args.path) as shop, ExitStack() as stack:
        engine = args.pid or shop.meter.pids["engine"]
        asyncio.run(fill(shop, events[: args.products], rows))
        unbatched = stack.enter_context(service(shop, "alone", query_batch_max_size=1))
        batched = stack.enter_context(service(shop, "gathered"))
        only = args.only.split(",")
        max_rate = args.most
        if "clients" in only or (max_rate is None and {"overhead", "saturation"} & set(only)):
            measured_rate = clients((unbatched, batched), engine, words, args.seconds)
            max_rate = max_rate or measured_rate
        if "overhead" in only:
            overhead(batched, words, max_rate, args.seconds)
        if "saturation" in only:
            saturation(batched, words, max_rate, args.saturated, args.deadline)
        if "ingest" in only:
            ingest(shop, batched, words, events[: args.backlog], args)
        if "memory" in only:
            memory(batched, engine, words, args.queries)


if __name__ == "__main__":
    main()
