"""How soon a change is visible to a search, at a quarter, half and four fifths of what the pipeline can take.

    python -m benchmarks.freshness PATH [--mix] [--pipeline liveshelf|straightforward|both] [--seconds 45]

Starts broker, engine and one worker of its own. What it can take is measured first, by a burst on the live topic. Then
changes are sent at random moments, at a rate, whether or not those before them were seen, and a reader searches for
them every few milliseconds. A change's time runs from the moment it was to be sent to the first answer that shows it.
Changes are new photos with titles; with --mix 60 % are prices, 25 % change nothing (and are not timed) and 15 % are
new photos. The straightforward pipeline (liveshelf/bench/straightforward.py) is sent whole products, not patches.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.changes import MIX, Changes, Made
from benchmarks.shop import Shop, number, open_shop, products
from benchmarks.visible import POLL_S, Flights, Reader, Sender, moments, watch
from catalog.space import Space
from indexer import connect
from liveshelf.settings import Settings, load_settings
from liveshelf.streaming import kafka_of, topics_of
from liveshelf.wiring import encoder_of
from streams.applied import wait_until_applied
from streams.publisher import Publisher, PublishPolicy
from streams.topics import create_topics

CONTENT = {"content": 1}
AT_ONCE = PublishPolicy(linger_ms=0)
WARM_S = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """A running pipeline: its settings say topic and group, its reader where it writes."""

    name: str
    settings: Settings
    reader: Reader
    changes: Changes


@contextmanager
def ours(shop: Shop, space: Space, changes: Changes) -> Iterator[Target]:
    with shop.workers(1):
        yield Target("liveshelf", shop.settings, Reader(shop.settings.collection, space), changes)


@contextmanager
def theirs(shop: Shop, space: Space, changes: Changes) -> Iterator[Target]:
    name = "straightforward"
    settings = shop.settings.model_copy(update={"topic": name, "group": name})
    create_topics(kafka_of(settings), replace(topics_of(settings), live=name))
    ready, collection = shop.folder / f"{name}.ready", f"{settings.collection}--{name}"
    argv = ("--kafka", settings.kafka, "--qdrant", settings.qdrant_url, "--topic", name, "--ready", str(ready))
    with shop.child(name, "-m", "benchmarks.straightforward", *argv, "--collection", collection, ready=ready):
        yield Target(name, settings, Reader(collection, space, "version"), changes)


def saturation(settings: Settings, changes: list[Made]) -> float:
    """Changes a second that a burst of them is applied with, once the first tenth is."""
    kafka, topic = kafka_of(settings), settings.topic
    steps: list[tuple[float, int]] = []
    started = time.perf_counter()
    with Publisher(kafka, topic) as publisher:
        for made in changes:
            publisher.send(made.key, made.value)
        ends = publisher.flush()

    def note(left: int) -> None:
        done = len(changes) - left
        if done >= len(changes) / 10 and (not steps or done > steps[-1][1]):
            steps.append((time.perf_counter(), done))

    wait_until_applied(kafka, topic, ends, timeout_s=3600, on_progress=note, every_s=0.05)
    (began, first), (ended, last) = steps[0] if len(steps) > 1 else (started, 0), steps[-1]
    return (last - first) / (ended - began)


async def step(target: Target, changes: list[Made], at: list[float]) -> Flights:
    """Sends and watches until everything is seen."""
    settings = target.settings
    flights = Flights()
    client = connect(settings.qdrant_url, api_key=None, timeout_s=30)
    with Publisher(kafka_of(settings), settings.topic, policy=AT_ONCE) as publisher:
        sender = Sender(publisher, changes, at, flights)
        sender.start()
        try:
            await watch(client, target.reader, flights, sender)
        finally:
            sender.stop.set()
            sender.join()
            await client.close()
    return flights


async def space_of(settings: Settings) -> Space:
    async with encoder_of(settings) as encoder:
        return encoder.space


def measure(target: Target, weights: Mapping[str, float], args: argparse.Namespace) -> None:
    changes = target.changes
    saturation(target.settings, list(changes.whole()))
    most = saturation(target.settings, [changes.draw(weights) for _ in range(args.burst)])
    print(f"\n{target.name} applies a burst of {args.burst:,} at {number(most)} a second.\n")
    print("| load | rate | timed | p50 | p95 | p99 | max | not seen | poll | sender late |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    rng = random.Random(args.seed + 1)
    for percent in args.at:
        rate = args.rate or most * percent / 100
        at = moments(rate, WARM_S + args.seconds, rng)
        drawn = [changes.draw(weights) for _ in at]
        flights = asyncio.run(step(target, drawn, at))
        # What changes nothing is looked for, because its version may hide that of a change before it, and not timed.
        untimed = {m.version for m, moment in zip(drawn, at, strict=True) if moment < WARM_S or m.kind == "same"}
        print(row(f"{100 * rate / most:.0f} %", rate, flights, untimed), flush=True)


def row(name: str, rate: float, flights: Flights, untimed: set[int]) -> str:
    """A line of the table, without the changes that are not timed."""
    took = np.array([seconds for version, seconds in flights.took.items() if version not in untimed]) * 1000
    p50, p95, p99, most = (f"{ms:,.0f} ms" for ms in np.percentile(took, [50, 95, 99, 100]))
    poll = f"{1000 * np.mean(flights.poll_s):.1f} ms"
    cells = (name, f"{number(rate)}/s", f"{len(took):,}", p50, p95, p99, most, str(len(flights.due)), poll)
    return f"| {' | '.join(cells)} | {1000 * flights.late_s:.0f} ms |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="a catalogue: parquet, JSON lines, or a folder of them")
    parser.add_argument("--mix", action="store_true", help="60 %% prices, 25 %% that change nothing, 15 %% new photos")
    parser.add_argument("--seconds", type=float, default=45.0, help="of each step")
    parser.add_argument("--pipeline", choices=("liveshelf", "straightforward", "both"), default="liveshelf")
    parser.add_argument("--rate", type=float, help="changes a second at every step, whatever it can take")
    parser.add_argument("--at", type=int, nargs="+", default=[25, 50, 80], help="percents of what it can take")
    parser.add_argument("--products", type=int, default=1500, help="products of the catalogue on the shelf")
    parser.add_argument("--burst", type=int, default=3000, help="changes of the burst")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    weights = MIX if args.mix else CONTENT
    pipelines = ("liveshelf", "straightforward") if args.pipeline == "both" else (args.pipeline,)
    with open_shop(load_settings(), photos=args.path) as shop:
        space = asyncio.run(space_of(shop.settings))
        for name in pipelines:
            patches, start = name == "liveshelf", ours if name == "liveshelf" else theirs
            rng = random.Random(args.seed)
            with start(shop, space, Changes(products(args.path, args.products), rng=rng, patches=patches)) as target:
                measure(target, weights, args)
    print(f"\nThe reader searches {1000 * POLL_S:.0f} ms after each answer; `poll` is the mean time of an answer.")


if __name__ == "__main__":
    main()
