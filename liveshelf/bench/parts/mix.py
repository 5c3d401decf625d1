"""The mix of a shop's day (prices, unchanged products, new content), compared with the baseline pipeline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from catalog.errors import FatalError
from embedded.child_process import ChildProcess
from liveshelf.bench.baselines.simple_worker import BASELINE, straightforward
from liveshelf.bench.harness.catalogue import products
from liveshelf.bench.harness.changes import Change, mix, now_ms
from liveshelf.bench.harness.expected_state import ExpectedState, check_index
from liveshelf.bench.harness.figures import Figure, resource_figures
from liveshelf.bench.harness.shop import Shop
from streams.publish.publisher import Event

GOAL = 4.0
WARM = 64  # products that warm up the baseline's model; it needs no loaded catalogue, because it writes full products


def measure_mix(
    shop: Shop, path: Path, *, items: int, events: int, workers: int = 1, straight: bool = True
) -> list[Figure]:
    """Loads `items` products, sends `events` changes, measures events a second, and checks the index.

    Raises FatalError if the index does not match the events, or a process ends early.
    """
    version = now_ms()
    catalogue = list(products(path, items, version=version))
    rest = products(path, version=version)
    for _ in catalogue:
        next(rest)
    changes = list(mix(catalogue, events, version=version, fresh=rest))
    encodes = sum(change.encodes for change in changes)
    if not straight:
        _, figures = _liveshelf(shop, catalogue, changes, workers)
        return figures
    half = len(changes) // 2
    with _straightforward(shop) as apply:
        apply(catalogue[:WARM])
        seconds = apply([change.product for change in changes[:half]])
        rate, figures = _liveshelf(shop, catalogue, changes, workers)
        seconds += apply([change.product for change in changes[half:]])
    other = len(changes) / seconds
    figures[0] = replace(figures[0], ratio=rate / other, of=BASELINE, goal=GOAL)
    bound = Figure("events to an encoded one, the bound of that ratio", events / max(1, encodes), "")
    return [*figures, Figure(f"{BASELINE}, half of it before and half after", other, "events/s"), bound]


def _liveshelf(
    shop: Shop, catalogue: Sequence[Event], changes: Sequence[Change], workers: int
) -> tuple[float, list[Figure]]:
    with shop.workers(workers) as running:
        shop.apply(catalogue)
        before = shop.meter.cpu_s
        started = time.perf_counter()
        sent, ends = shop.send(change.event for change in changes)
        shop.wait(ends, watch=lambda: _alive(running))
        rate = sent / (time.perf_counter() - started)
        ours = [name for name in shop.meter.pids if name != BASELINE]
        spent = {name: shop.meter.cpu_s[name] - before[name] for name in ours}
        peaks = {name: shop.meter.peak_mb[name] for name in ours}
    expected = ExpectedState.of([*catalogue, *(change.event for change in changes)])
    correct = asyncio.run(check_index(shop.settings, expected))
    figures = [Figure(f"mix of {sent:,} events, {workers} worker{'s'[: workers - 1]}", rate, "events/s")]
    return rate, [*figures, Figure("products compared, all right", correct, ""), *resource_figures(peaks, spent)]


@contextmanager
def _straightforward(shop: Shop) -> Iterator[Callable[[Sequence[Event]], float]]:
    """Runs the baseline pipeline. Yields a function that sends it events and returns the seconds until applied."""
    with straightforward(shop) as (settings, child):

        def apply(events: Sequence[Event]) -> float:
            started = time.perf_counter()
            _, ends = shop.send(events, topic=settings.live_topic)
            shop.wait(ends, topic=settings.live_topic, group=settings.kafka_group_id, watch=lambda: _alive([child]))
            return time.perf_counter() - started

        yield apply


def _alive(children: Sequence[ChildProcess]) -> None:
    for child in children:
        if (status := child.poll()) is not None:
            raise FatalError(
                f"A process ended with exit status {status} before all events were applied: {child.tail()}"
            )
