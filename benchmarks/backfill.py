"""A catalogue through Kafka into the index, beside the bare encoder on the same products in the same run.

    python -m benchmarks.backfill PATH [--limit N] [--bare N]

Starts a broker, an engine and one worker of its own in a temporary folder and prints a table: items a second of the
whole path, of the bare encoder (the same model and photos, batch after batch in one process, no Kafka, no index) before
and after, their ratio, what was counted in and out, and the peak memory of each process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from catalog.change import Put
from catalog.events import Contract, Parsed, parse
from catalog.product import Content
from catalog.record import Record
from embedded.broker import Broker
from embedded.engine.process import EngineProcess
from indexer import QdrantShelf, connect
from liveshelf.settings import Settings, environment, load_settings
from liveshelf.streaming import kafka_of, topics_of
from liveshelf.wiring import encoder_of
from streams.applied import wait_until_applied
from streams.backfill import BadRow, Catalogue, backfill
from streams.publisher import Publisher
from streams.quarantine import read_quarantine
from streams.topics import create_topics

BATCH = 64


class Peak:
    """The largest resident memory of some processes, looked at twice a second."""

    def __init__(self, **pids: int) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self.mb = dict.fromkeys(pids, 0.0)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.5):
            for name, process in self._processes.items():
                self.mb[name] = max(self.mb[name], process.memory_info().rss / 2**20)

    def stop(self) -> None:
        self._done.set()
        self._thread.join()


def contents(path: Path, count: int) -> list[Content]:
    """The first titles and photos of the catalogue, as the worker would read them."""
    found = []
    for row in islice(Catalogue(path, version=1), count):
        if isinstance(row, BadRow):
            continue
        parsed = parse(Record(None, json.dumps(row.event).encode(), "", 0, 0, 0), Contract())
        if isinstance(parsed, Parsed) and isinstance(parsed.change, Put):
            found.append(parsed.change.product.content)
    return found


async def bare(settings: Settings, items: list[Content]) -> float:
    """Items a second of the encoder alone."""
    async with encoder_of(settings) as encoder:
        started = time.perf_counter()
        for start in range(0, len(items), BATCH):
            await encoder.encode(await encoder.prepare(items[start : start + BATCH]))
        return len(items) / (time.perf_counter() - started)


async def counted(settings: Settings) -> int:
    async with encoder_of(settings) as encoder:
        client = connect(settings.qdrant_url, api_key=None, timeout_s=60)
        try:
            return await QdrantShelf(client, collection=settings.collection, space=encoder.space).count()
        finally:
            await client.close()


def through_kafka(settings: Settings, path: Path, limit: int | None) -> tuple[int, float]:
    """Events sent, and seconds until all were applied."""
    kafka = kafka_of(settings)
    catalogue = Catalogue(path, version=int(time.time() * 1000))
    started = time.perf_counter()
    with Publisher(kafka, settings.backfill_topic) as publisher:
        result = backfill(catalogue, publisher, limit=limit, on_bad=lambda bad: print("not an event:", bad))
    wait_until_applied(
        kafka,
        settings.backfill_topic,
        result.ends,
        timeout_s=7200,
        on_progress=lambda left: print(f"\r{result.sent - left:,} applied", end="", file=sys.stderr),
    )
    print(file=sys.stderr)
    return result.sent, time.perf_counter() - started


def start_worker(settings: Settings, folder: Path) -> subprocess.Popen[bytes]:
    ready = folder / "worker.ready"
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "liveshelf", "worker"],
            env=environment(settings.model_copy(update={"ready_file": ready})),
            stdout=log,
            stderr=log,
        )
    while not ready.exists():
        if worker.poll() is not None:
            raise SystemExit((folder / "worker.log").read_text())
        time.sleep(0.1)
    return worker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--limit", type=int, help="rows to read at most")
    parser.add_argument("--bare", type=int, default=3000, help="products for the bare encoder, each time")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="liveshelf-") as name:
        folder = Path(name)
        base = load_settings()
        roots = (args.path.resolve() if args.path.is_dir() else args.path.resolve().parent,)
        sample = contents(args.path, args.bare)
        with (
            Broker.start(folder / "broker", cache=base.cache) as broker,
            EngineProcess.start(folder / "engine") as engine,
        ):
            settings = load_settings(kafka=broker.bootstrap, qdrant_url=engine.url, image_file_roots=roots)
            create_topics(kafka_of(settings), topics_of(settings))
            before = asyncio.run(bare(settings, sample))
            worker = start_worker(settings, folder)
            peak = Peak(worker=worker.pid, engine=engine.pid, broker=broker.pid)
            sent, seconds = through_kafka(settings, args.path, args.limit)
            peak.stop()
            worker.terminate()
            status = worker.wait()
            after = asyncio.run(bare(settings, sample))
            held = sum(1 for _ in read_quarantine(kafka_of(settings), settings.quarantine_topic))
            report(
                {
                    "events sent": f"{sent:,}",
                    "searchable": f"{asyncio.run(counted(settings)):,}",
                    "quarantined": f"{held:,}",
                    "seconds": f"{seconds:.1f}",
                    "items/s, whole path": f"{sent / seconds:.1f}",
                    "items/s, bare encoder before, after": f"{before:.1f}, {after:.1f}",
                    "ratio to their mean": f"{sent / seconds / ((before + after) / 2):.2f}",
                    "worker's exit code": str(status),
                    **{f"peak memory, {name}": f"{mb:,.0f} MB" for name, mb in peak.mb.items()},
                }
            )


def report(rows: dict[str, Any]) -> None:
    for name, value in rows.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
