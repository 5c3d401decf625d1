"""Latency of live changes during a back-fill that saturates the encoder, and the rate left to the back-fill.

    python -m benchmarks.lanes PATH --rate 30 [--seconds 30] [--backlog 4000]

Starts its own broker, engine and one worker. Sends live changes (new photos with titles) at random times: first alone,
then while a backlog of products waits in the back-fill topic. The rest of the backlog is applied alone. So one run
gives two pairs of figures:

- how soon live changes are visible, without and with a back-fill;
- the back-fill's items a second, with and without live changes.

`--backlog` must be larger than what is applied during the live changes.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np

from liveshelf.bench.harness.catalogue import products
from liveshelf.bench.harness.figures import number
from liveshelf.bench.harness.load import EventGenerator
from liveshelf.bench.harness.shop import open_shop
from liveshelf.bench.harness.visibility import POLL_S, REST, PendingChanges, moments
from liveshelf.bench.parts.freshness import CONTENT, WARM_S, PipelineUnderTest, load, ours, send_and_watch, space_of
from liveshelf.settings import Settings, load_settings
from liveshelf.wiring.kafka import kafka_of
from streams.publish.publisher import Event, Publisher
from streams.publish.wait_applied import wait_until_applied

LEAST_ALONE_S = 5.0


class Backlog:
    """Products sent through the back-fill topic, and the number applied at each time."""

    def __init__(self, settings: Settings, events: list[Event]) -> None:
        self.total = len(events)
        self.notes: list[tuple[float, int]] = []
        self._settings = settings
        with Publisher(kafka_of(settings), settings.backfill_topic) as publisher:
            self._ends = publisher.publish(events)
        self._thread = threading.Thread(target=self._watch, name="backlog", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Returns when all products are applied."""
        self._thread.join()

    def rate(self, since: float, until: float) -> float:
        """Items a second between two times, from offsets committed about once a second; NaN if fewer than three."""
        steps = [(at, done) for at, done in self.notes if since <= at <= until]
        if len(steps) < 3:
            return float("nan")
        (began, first), (ended, last) = steps[0], steps[-1]
        return (last - first) / (ended - began)

    def _watch(self) -> None:
        kafka, topic = kafka_of(self._settings), self._settings.backfill_topic
        wait_until_applied(kafka, topic, self._ends, timeout_s=3600, on_progress=self._note, every_s=0.05)

    def _note(self, remaining: int) -> None:
        done = self.total - remaining
        if not self.notes or done > self.notes[-1][1]:
            self.notes.append((time.perf_counter(), done))


def live(target: PipelineUnderTest, rate: float, seconds: float, rng: random.Random) -> np.ndarray:
    """Milliseconds until each live change was visible, without the first WARM_S seconds."""
    at = moments(rate, WARM_S + seconds, rng)
    changes = [target.changes.draw(CONTENT) for _ in at]
    pending: PendingChanges = asyncio.run(send_and_watch(target, changes, at))
    if pending.due:
        raise SystemExit(
            f"{len(pending.due)} live changes never became visible: the worker cannot keep up. Give a lower --rate."
        )
    warm_up = {change.version for change, moment in zip(changes, at, strict=True) if moment < WARM_S}
    return np.array([took for version, took in pending.took.items() if version not in warm_up]) * 1000


def line(name: str, ms: np.ndarray) -> str:
    figures = (np.mean(ms), *np.percentile(ms, [50, 95, 99, 100]))
    return f"| {name} | {len(ms):,} | " + " | ".join(f"{figure:,.0f} ms" for figure in figures) + " |"


def measure(target: PipelineUnderTest, waiting: list[Event], args: argparse.Namespace) -> None:
    rng = random.Random(args.seed + 1)
    load(target)
    alone = live(target, args.rate, args.seconds, rng)
    backlog = Backlog(target.settings, waiting)
    began = time.perf_counter()
    with_backfill = live(target, args.rate, args.seconds, rng)
    ended = time.perf_counter()
    backlog.wait()
    with_live = backlog.rate(began + WARM_S, min(ended, began + WARM_S + args.seconds))
    without = backlog.rate(ended + 1, float("inf"))
    print("| live, to visible | timed | mean | p50 | p95 | p99 | max |\n|---|---:|---:|---:|---:|---:|---:|")
    print(line(f"{number(args.rate)}/s, nothing else", alone))
    print(line(f"{number(args.rate)}/s during the back-fill", with_backfill))
    print("\n| back-fill | figure |\n|---|---:|")
    print(f"| during the live changes | {number(with_live)} items/s |\n| alone | {number(without)} items/s |")
    print(f"| ratio | {number(with_live / without)} |")
    print(f"| of all items while both had work | {number(100 * with_live / (with_live + args.rate))} % |")
    print(f"\nThe reader pauses {1000 * POLL_S:.0f} ms after each response, or {REST} times its latency.")
    if np.isnan(with_live):
        print("The live changes were too short to measure the back-fill's rate: give more --seconds.")
    if backlog.notes[-1][0] < ended + LEAST_ALONE_S:
        print("The backlog was too small to measure its rate alone: give a larger --backlog.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="a catalogue: parquet, JSON lines, or a folder of them")
    parser.add_argument("--rate", type=float, default=30.0, help="live changes a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of live changes, each time")
    parser.add_argument("--backlog", type=int, default=4000, help="products of the back-fill")
    parser.add_argument("--products", type=int, default=500, help="products in the index that live changes update")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    events = products(args.path, args.products + args.backlog)
    changes = EventGenerator(islice(events, args.products), rng=random.Random(args.seed))
    waiting = list(events)
    settings = load_settings()
    space = asyncio.run(space_of(settings))
    with open_shop(settings, photos=args.path) as shop, ours(shop, space, changes) as target:
        measure(target, waiting, args)


if __name__ == "__main__":
    main()
