"""A shop's mixed load for hours, with the memory of every process.

    python -m benchmarks.soak PATH --hours H --rate R [--workers W] [--csv FILE]

Starts its own broker, engine and workers. Loads the first --products of the catalogue, then sends events at random
times, R a second on average:

- 60 % price patches, 25 % puts that change nothing, 15 % new photos with titles;
- a few deletes, invalid records, and products whose photo is missing.

A third of all events goes through the back-fill topic. Every 10 s, the script writes each process's memory to the CSV
file. At the end, and after Ctrl-C or SIGTERM, the script prints memory (after the warm-up, at the end, peak, slope) and
compares counts. The exit code is 1 if a count is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from catalog.domain.filters import AnyOf, Condition
from embedded.child_process import ChildProcess
from indexer import QdrantReader, connect
from liveshelf.bench.harness.catalogue import products
from liveshelf.bench.harness.figures import number
from liveshelf.bench.harness.load import NO_PHOTO, TROUBLED, EventGenerator
from liveshelf.bench.harness.shop import Shop, open_shop
from liveshelf.settings import load_settings
from liveshelf.wiring.encoder import encoder_of
from liveshelf.wiring.kafka import kafka_of
from streams.publish.publisher import Publisher
from streams.quarantine.topic import read_quarantine

LOOK_EVERY_S = 10.0
BACKFILL_SHARE = 1 / 3


@dataclass
class Memory:
    """Resident memory in MB by process, one row per sample; `seconds` since the start."""

    names: tuple[str, ...]
    seconds: list[float] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)

    def look(self, pids: dict[str, int], seconds: float) -> list[float]:
        """Adds and returns a row; a process that has ended counts as 0 MB."""
        self.seconds.append(seconds)
        self.rows.append([_rss_mb(pids[name]) for name in self.names])
        return self.rows[-1]

    def table(self, warm_s: float) -> str:
        """A table in markdown. Rows before `warm_s` count only for the peak."""
        lines = ["| memory, MB | after warm-up | at the end | peak | slope, MB/hour |", "|---|---:|---:|---:|---:|"]
        hours, mb = np.array(self.seconds) / 3600, np.array(self.rows)
        warm = hours >= warm_s / 3600
        for name, column in zip(self.names, mb.T, strict=True):
            warm_hours, warm_mb = hours[warm], column[warm]
            slope = np.polyfit(warm_hours, warm_mb, 1)[0] if len(warm_mb) > 2 else float("nan")
            first_mb = f"{warm_mb[0]:,.0f}" if len(warm_mb) else ""
            lines.append(f"| {name} | {first_mb} | {column[-1]:,.0f} | {column.max():,.0f} | {slope:+,.1f} |")
        return "\n".join(lines)


def _rss_mb(pid: int) -> float:
    try:
        return float(psutil.Process(pid).memory_info().rss / 2**20)
    except psutil.Error:
        return 0.0


class Soak:
    """The load on an open shop, and its measurements."""

    def __init__(
        self, shop: Shop, changes: EventGenerator, workers: list[ChildProcess], *, stop: threading.Event
    ) -> None:
        self.shop = shop
        self.changes = changes
        self.sent: Counter[str] = Counter()
        self.late_s = 0.0
        self.ends: dict[str, dict[int, int]] = {}
        self._workers = workers
        self._stop = stop
        self._started = time.monotonic()
        self._pids = {**shop.meter.pids, "sender": os.getpid()}
        self.memory = Memory(tuple(self._pids))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def load(self) -> None:
        """Sends the catalogue through the back-fill topic; returns when it is applied."""
        topic = self.shop.settings.backfill_topic
        with Publisher(kafka_of(self.shop.settings), topic) as publisher:
            for event in self.changes.all_puts():
                publisher.send(event.key, event.value)
            ends = publisher.flush()
        self.shop.wait(ends, topic=topic, watch=self.check)
        self.ends[topic] = ends

    def run(self, *, rate: float, seconds: float, file: Path, rng: random.Random) -> None:
        """Sends events at random times, `rate` a second on average, until the time is over or `stop` is set."""
        settings = self.shop.settings
        kafka = kafka_of(settings)
        with Publisher(kafka, settings.live_topic) as live, Publisher(kafka, settings.backfill_topic) as backfill:
            watcher = threading.Thread(target=self._watch, args=(file,), name="watch", daemon=True)
            watcher.start()
            due = time.monotonic()
            end = due + seconds
            while due < end and not self._stop.wait(max(0.0, due - time.monotonic())):
                self.late_s = max(self.late_s, time.monotonic() - due)
                event = self.changes.draw(TROUBLED)
                (backfill if rng.random() < BACKFILL_SHARE else live).send(event.key, event.value)
                self.sent[event.kind] += 1
                due += rng.expovariate(rate)
            self._stop.set()
            watcher.join()
            for topic, publisher in ((settings.live_topic, live), (settings.backfill_topic, backfill)):
                self.ends[topic] = self.ends.get(topic, {}) | publisher.flush()

    def check(self) -> None:
        """Raises SystemExit if a worker has ended or a stop was requested."""
        for worker in self._workers:
            if (status := worker.poll()) is not None:
                raise SystemExit(f"A worker ended with status {status}: {worker.tail()}")
        if self._stop.is_set():
            raise SystemExit("Stopped before the load began.")

    def applied(self) -> bool:
        """Waits for both lanes. Returns whether they are committed up to the last event."""
        try:
            for topic, ends in self.ends.items():
                self.shop.wait(ends, topic=topic, watch=self._alive)
        except SystemExit as gone:
            print(gone, file=sys.stderr)
            return False
        return True

    def _alive(self) -> None:
        if all(worker.poll() is not None for worker in self._workers):
            raise SystemExit(f"No worker runs any more: {self._workers[0].tail()}")

    def _watch(self, file: Path) -> None:
        with file.open("w", newline="", encoding="utf-8") as out:
            rows = csv.writer(out)
            rows.writerow(["seconds", "sent", *(f"{name} MB" for name in self.memory.names)])
            while True:
                memory_mb = self.memory.look(self._pids, self.seconds)
                rows.writerow([f"{self.seconds:.1f}", self.sent.total(), *(f"{mb:.1f}" for mb in memory_mb)])
                out.flush()
                if any(worker.poll() is not None for worker in self._workers):
                    print("A worker has ended.", file=sys.stderr)
                    self._stop.set()
                if self._stop.wait(LOOK_EVERY_S):
                    self.memory.look(self._pids, self.seconds)
                    return


async def live_counts(shop: Shop) -> tuple[int, int]:
    """The number of live products, and of live products whose photo is missing."""
    settings = shop.settings
    async with encoder_of(settings) as encoder:
        space = encoder.space
    client = connect(settings.qdrant_url, api_key=None, timeout_s=60)
    try:
        shelf = QdrantReader(client, collection=settings.collection, space=space)
        missing: list[Condition] = [AnyOf("image_state", ("missing",))]
        return await shelf.count(), await shelf.count(missing)
    finally:
        await client.close()


def check_counts(soak: Soak) -> bool:
    """Prints expected and actual counts. Returns whether they agree."""
    settings = soak.shop.settings
    applied = soak.applied()
    live, missing = asyncio.run(live_counts(soak.shop))
    quarantined = sum(1 for _ in read_quarantine(kafka_of(settings), settings.quarantine_topic))
    changes = soak.changes
    pairs = {"live": (live, changes.live), "photo missing": (missing, len(changes.no_photo))}
    pairs["quarantined"] = (quarantined, changes.bad)
    print("\n| counted | actual | expected |\n|---|---:|---:|")
    for name, (actual, expected) in pairs.items():
        print(f"| {name} | {actual:,} | {expected:,} |")
    print(f"| committed to the end | {'yes' if applied else 'no'} | yes |")
    return applied and all(actual == expected for actual, expected in pairs.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="a catalogue: parquet, JSON lines, or a folder of them")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=20.0, help="events a second, on average")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--products", type=int, default=5000, help="products of the catalogue to load first")
    parser.add_argument("--csv", type=Path, default=Path("soak.csv"))
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    rng = random.Random(args.seed)
    seconds = args.hours * 3600
    warm_s = min(600.0, 0.15 * seconds)
    with ExitStack() as stack:
        settings = load_settings()
        roots = (*settings.image_file_roots, Path(NO_PHOTO.removeprefix("file://")).parent)
        settings = settings.model_copy(update={"image_file_roots": roots})
        shop = stack.enter_context(open_shop(settings, photos=args.path))
        workers = stack.enter_context(shop.workers(args.workers))
        soak = Soak(shop, EventGenerator(products(args.path, args.products), rng=rng), workers, stop=stop)
        soak.load()
        loaded_s = soak.seconds
        print(f"{args.products:,} products loaded in {loaded_s:.0f} s; the load begins", file=sys.stderr, flush=True)
        soak.run(rate=args.rate, seconds=seconds, file=args.csv, rng=rng)
        load_s = soak.seconds - loaded_s
        warm_s = loaded_s + (warm_s if load_s > warm_s else 0.15 * load_s)
        print(
            f"{soak.sent.total():,} events in {load_s:,.0f} s, {number(soak.sent.total() / load_s)} a second, ", end=""
        )
        print(f"the sender at most {soak.late_s:.2f} s late:", ", ".join(f"{k} {n:,}" for k, n in soak.sent.items()))
        print(f"\n{soak.memory.table(warm_s)}")
        return 0 if check_counts(soak) else 1


if __name__ == "__main__":
    sys.exit(main())
