"""What queries cost beside the index and the encoder, how many there can be, and what ingestion does to them.

    python -m benchmarks.queries PATH [--only clients,overhead,saturation,ingest,memory] [--vectors FILE.npz]

Starts broker, engine and search services of its own. The shelf is filled with the catalogue's products under the
vectors of FILE, made by the default model if it is not there (`fused` for one that it lacks), or under random ones.
An index that compares with every vector takes as long for either; one that has a graph, several times as long for
random ones. Two services are asked in turns, one that encodes each query alone and one that gathers them, so every
ratio is of one run. `added` is what an answer took less what the service says that encoding and searching took: HTTP,
JSON and this script's own client.
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
    """A search service that runs, and the engine behind it."""

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
    """The vectors of so many products by name, each (count, dim); empty without a file, which is made if need be."""
    if file is None:
        return {}
    if not file.exists():
        asyncio.run(index_reads.encoded(catalogue, file))
    with np.load(file) as kept:
        found = {name: kept[name][:count] for name in kept.files}
    if any(len(rows) < count for rows in found.values()):
        raise SystemExit(f"{file} has vectors of fewer than {count} products: give another file, or fewer --products")
    return found


async def fill(shop: Shop, events: Sequence[Event], rows: Rows) -> None:
    """The shelf with these products under their vectors, or random ones."""
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
                said = payload_of(state, fingerprint="0", event_time=1)
                said |= {"title": event["title"], "images": [], "attributes": event.get("attributes", {})}
                drawn = {name: rng.standard_normal(dim).astype(np.float32) for name, dim in space.vectors.items()}
                found = {name: rows.get(name, rows[FUSED])[n] for name in space.vectors} if rows else drawn
                vectors = {name: vector / np.linalg.norm(vector) for name, vector in found.items()}
                writes.append(ProductWrite(ProductKey("default", event["id"]), None, said, vectors))
            await index.write(writes)
    finally:
        await client.close()


def clients(services: Sequence[RunningService], engine: int, words: Words, seconds: float) -> float:
    """Prints throughput by clients of both services; the median at most clients of the last is returned."""
    print("\n| clients | service | answers/s | p50 | p99 | CPU a query, service | engine |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    rates: dict[str, float] = {}
    for count in CLIENTS:
        found: dict[str, list[tuple[float, list[Answer], float, float]]] = {one.name: [] for one in services}
        for _ in range(ROUNDS):
            for one in services:
                used, engine_used, began = one.cpu_s, _cpu(engine), time.perf_counter()
                answers = asyncio.run(closed_loop(one.port, count, seconds / ROUNDS, words))
                took, good = time.perf_counter() - began, [a for a in answers if a.status == 200]
                each = max(1, len(good))
                cpu, engine_cpu = (one.cpu_s - used) / each, (_cpu(engine) - engine_used) / each
                found[one.name].append((len(good) / took, good, cpu * 1000, engine_cpu * 1000))
        for one in services:
            rounds = found[one.name]
            rate, cpu, engine_cpu = (float(np.median([r[i] for r in rounds])) for i in (0, 2, 3))
            answers = [answer for r in rounds for answer in r[1]]
            rates[one.name] = rate
            times = (ms(answers, 50), ms(answers, 99), cpu, engine_cpu)
            cells = " | ".join(f"{time:.2f} ms" for time in times)
            print(f"| {count} | {one.name} | {number(rate)} | {cells} |", flush=True)
    alone, gathered = (rates[one.name] for one in services)
    print(f"\nGathered makes {gathered / alone:.2f} x of alone at {CLIENTS[-1]} clients.", flush=True)
    return gathered


def overhead(one: RunningService, words: Words, most: float, seconds: float) -> None:
    """Prints what the service adds to encoding and searching, and what a remembered query takes in all."""
    print("\n| what | asked | encode | search | added p50 | added p99 | in all p50 | p99 |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    asyncio.run(closed_loop(one.port, 1, 1.0, words))
    again = words()

    def row(what: str, answers: list[Answer]) -> None:
        good = [answer for answer in answers if answer.status == 200]
        added = [answer.added_ms for answer in good]
        parts = (float(np.median([getattr(a, f"{part}_ms") for a in good])) for part in ("encode", "search"))
        cells = (*parts, *np.percentile(added, (50, 99)), ms(good, 50), ms(good, 99))
        print(f"| {what} | {len(answers)} | {' | '.join(f'{cell:.2f} ms' for cell in cells)} |", flush=True)

    row("one client, new texts", asyncio.run(closed_loop(one.port, 1, seconds, words)))
    row("one client, one text again and again", asyncio.run(closed_loop(one.port, 1, seconds, lambda: again)))
    row(f"{most / 2:.0f}/s, half of saturation", asyncio.run(open_loop(one.port, most / 2, seconds, words)))


def saturation(one: RunningService, words: Words, most: float, seconds: float, deadline_ms: int) -> None:
    """Prints what becomes of three times what can be answered, and how soon after it all is well again."""
    asyncio.run(closed_loop(one.port, 1, 1.0, words))
    idle = ms(asyncio.run(closed_loop(one.port, 1, 3.0, words)), 50)
    answers = asyncio.run(open_loop(one.port, 3 * most, seconds, words, timeout_ms=deadline_ms))
    ended = time.perf_counter()
    well = float("nan")
    while time.perf_counter() - ended < 30 and np.isnan(well):
        probes = asyncio.run(closed_loop(one.port, 1, 0.2, words))
        if all(probe.status == 200 for probe in probes) and ms(probes, 50) <= 2 * idle:
            well = time.perf_counter() - ended - 0.2
    by_status = {status: [a for a in answers if a.status == status] for status in sorted({a.status for a in answers})}
    print(f"\n{3 * most:.0f}/s for {seconds:g} s, deadline {deadline_ms} ms; idle p50 {idle:.1f} ms:\n")
    print("| status | answers | p50 | p99 | max |\n|---:|---:|---:|---:|---:|")
    for status, some in by_status.items():
        print(f"| {status or 'none'} | {len(some)} | {' | '.join(f'{ms(some, q):.0f} ms' for q in (50, 99, 100))} |")
    good = by_status.get(200, [])
    late = sum(answer.took * 1000 > deadline_ms for answer in good)
    print(f"\n{len(good) / seconds:.0f} answered a second, {late} of them later than the deadline.")
    print(f"Well again, at most twice the idle p50, after {well:.1f} s.")


@dataclass(frozen=True)
class Window:
    """What was measured while queries were asked, or not: products a second, and the answers."""

    rate: float
    answers: list[Answer]


def window(one: RunningService, words: Words, rate: float, seconds: float) -> Window:
    began, before = time.perf_counter(), _live(one)
    answers: list[Answer] = []
    if rate:
        answers = asyncio.run(open_loop(one.port, rate, seconds, words))
    else:
        time.sleep(seconds)
    done = _live(one) - before
    return Window(done / (time.perf_counter() - began), [answer for answer in answers if answer.status == 200])


def ingest(shop: Shop, one: RunningService, words: Words, events: Sequence[Event], args: argparse.Namespace) -> None:
    """Prints, for each way the worker stands back, queries on an idle shelf and beside a back-fill, and its rate."""
    print(f"\nQueries at {args.rate:g}/s beside a back-fill of products with photos:\n")
    print("| worker | idle p50 | p99 | beside p50 | p99 | p99 to idle | products alone | beside | kept |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for way in args.workers:
        nice, _, threads = way.partition("x")
        told: dict[str, object] = {"nice": int(nice), **({"threads": int(threads)} if threads else {})}
        name = f"{shop.settings.live_topic}-{way}"
        told |= {"topic": name, "group": name, "backfill_topic": f"{name}-b"}
        with shop.workers(1, **told):
            idle = window(one, words, args.rate, args.seconds)
            fresh = [{**event, "id": f"{way}-{event['id']}"} for event in events]
            before = _live(one)
            shop.send(fresh, topic=f"{name}-b")
            while _live(one) < before + BATCH:
                time.sleep(0.2)
            alone, beside, again = (window(one, words, rate, args.seconds) for rate in (0, args.rate, 0))
        most = (alone.rate + again.rate) / 2
        left = len(fresh) - (_live(one) - before)
        times = [ms(some.answers, q) for some in (idle, beside) for q in (50, 99)]
        cells = [*(f"{time:.1f} ms" for time in times), f"{times[3] / times[1]:.2f} x"]
        cells += [f"{number(most)}/s", f"{number(beside.rate)}/s", f"{100 * beside.rate / most:.0f} %"]
        print(f"| nice {nice}, {threads or 'all'} threads | {' | '.join(cells)} |", flush=True)
        if left <= 0:
            print("\nThe back-fill ended before the queries did: give more --backlog.")


def memory(one: RunningService, engine: int, words: Words, queries: int) -> None:
    """Prints what service and index hold while so many queries are asked by a few clients at once."""
    print("\n| queries | service | index |")
    print("|---:|---:|---:|")
    asked, told = 0, -1
    while asked < queries:
        asked += len(asyncio.run(closed_loop(one.port, CLIENTS[1], 5.0, words)))
        if told < (told := 10 * asked // queries):
            held = (psutil.Process(pid).memory_info().rss / 1e6 for pid in (one.pid, engine))
            print(f"| {asked:,} | {' | '.join(f'{number(mb)} MB' for mb in held)} |", flush=True)


def _live(one: RunningService) -> int:
    with urlopen(f"http://127.0.0.1:{one.port}/v1/status", timeout=30) as answer:
        return int(json.load(answer)["products"])


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="a catalogue: parquet, JSON lines, or a folder of them")
    parser.add_argument("--only", default=",".join(PHASES), help=f"of {', '.join(PHASES)}")
    parser.add_argument("--products", type=int, default=40_057, help="products on the shelf")
    parser.add_argument("--vectors", type=Path, help="the products' vectors, as benchmarks.index_reads keeps them")
    parser.add_argument("--pid", type=int, help="of the index, where LIVESHELF_QDRANT_URL names one")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--saturated", type=float, default=60.0, help="seconds of three times what can be answered")
    parser.add_argument("--deadline", type=int, default=2000, help="milliseconds that a query gives while saturated")
    parser.add_argument("--most", type=float, help="answers a second that are saturation, in place of what clients say")
    parser.add_argument("--rate", type=float, default=10.0, help="queries a second beside a back-fill")
    parser.add_argument(
        "--workers", nargs="+", default=["0", "5", "10", "19"], help="niceness, as in 10, or 10x1 threads"
    )
    parser.add_argument("--queries", type=int, default=20_000, help="while memory is looked at")
    parser.add_argument("--backlog", type=int, default=8000, help="products of the back-fill")
    args = parser.parse_args()
    events = list(products(args.path, max(args.products, args.backlog)))
    rows = vectors_of(args.path, args.vectors, min(args.products, len(events)))
    words = Words([str(event.get("title", "")) for event in events if event.get("title")], random.Random(1))
    with open_shop(load_settings(), photos=args.path) as shop, ExitStack() as stack:
        engine = args.pid or shop.meter.pids["engine"]
        asyncio.run(fill(shop, events[: args.products], rows))
        alone = stack.enter_context(service(shop, "alone", query_batch=1))
        gathered = stack.enter_context(service(shop, "gathered"))
        only = args.only.split(",")
        most = args.most
        if "clients" in only or (most is None and {"overhead", "saturation"} & set(only)):
            found = clients((alone, gathered), engine, words, args.seconds)
            most = most or found
        if "overhead" in only:
            overhead(gathered, words, most, args.seconds)
        if "saturation" in only:
            saturation(gathered, words, most, args.saturated, args.deadline)
        if "ingest" in only:
            ingest(shop, gathered, words, events[: args.backlog], args)
        if "memory" in only:
            memory(gathered, engine, words, args.queries)


if __name__ == "__main__":
    main()
