"""Price patches end to end: the cheapest and most frequent change."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from liveshelf.bench.harness.catalogue import contents, encode_rate, products
from liveshelf.bench.harness.changes import now_ms, patch
from liveshelf.bench.harness.figures import Figure, resource_figures
from liveshelf.bench.harness.shop import Shop

GOAL = 20.0
BARE = 600


def measure_patches(shop: Shop, path: Path, *, items: int, events: int) -> list[Figure]:
    """Loads `items` products and sends `events` new prices; compares events a second with the encoder alone."""
    version = now_ms()
    catalogue = list(products(path, items, version=version))
    alone = asyncio.run(encode_rate(shop.settings, contents(catalogue[:BARE])))
    rng = random.Random(1)  # noqa: S311 -- a benchmark's
    prices = [patch(rng.choice(catalogue), round(rng.uniform(1, 500), 2), version + n) for n in range(1, events + 1)]
    with shop.workers(1):
        shop.apply(catalogue)
        before = shop.meter.cpu_s
        sent, seconds = shop.apply(prices)
        spent = {name: 1e6 * (used_s - before[name]) / sent for name, used_s in shop.meter.cpu_s.items()}
    rate = sent / seconds
    return [
        Figure(f"price patches, {sent:,} events", rate, "events/s", rate / alone, "encoder", GOAL),
        Figure("encoder alone", alone, "items/s"),
        *(Figure(f"CPU an event, {name}", us, "us") for name, us in spent.items()),
        *resource_figures(shop.meter.peak_mb, {}),
    ]
