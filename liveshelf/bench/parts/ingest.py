"""A catalogue through Kafka into the index, beside the encoder alone."""

from __future__ import annotations

import asyncio
from itertools import islice
from pathlib import Path

from liveshelf.bench.harness.catalogue import contents, encode_rate, products
from liveshelf.bench.harness.changes import now_ms
from liveshelf.bench.harness.expected_state import ExpectedState, checked
from liveshelf.bench.harness.figures import Figure, used
from liveshelf.bench.harness.shop import Shop

GOAL = 0.95


def measure_ingest(shop: Shop, path: Path, *, items: int | None, bare: int = 3000, workers: int = 1) -> list[Figure]:
    """Sends `items` products, or all, through the workers; items a second beside the encoder alone before and after.

    The encoder alone is given the first `bare` of them. Raises Hopeless where the index is not what was sent.
    """
    version = now_ms()
    some = contents(islice(products(path, items), bare))
    before = asyncio.run(encode_rate(shop.settings, some))
    with shop.workers(workers):
        start = shop.meter.cpu_s
        sent, seconds = shop.apply(products(path, items, version=version), topic=shop.settings.backfill_topic)
        spent = {name: cpu - start.get(name, 0.0) for name, cpu in shop.meter.cpu_s.items()}
        peaks = dict(shop.meter.peak_mb)
    after = asyncio.run(encode_rate(shop.settings, some))
    there = asyncio.run(checked(shop.settings, ExpectedState.of(products(path, items, version=version))))
    rate, alone = sent / seconds, (before + after) / 2
    return [
        Figure(f"{sent:,} new products", rate, "items/s", rate / alone, "encoder", GOAL),
        Figure("encoder alone, before", before, "items/s"),
        Figure("encoder alone, after", after, "items/s"),
        Figure("products compared, all right", there, ""),
        *used(peaks, spent),
    ]
