"""Back-fill rate from Kafka into the index, compared with the encoder alone."""

from __future__ import annotations

import asyncio
from itertools import islice
from pathlib import Path

from liveshelf.bench.harness.catalogue import contents, encode_rate, products
from liveshelf.bench.harness.changes import now_ms
from liveshelf.bench.harness.expected_state import ExpectedState, check_index
from liveshelf.bench.harness.figures import Figure, resource_figures
from liveshelf.bench.harness.shop import Shop

GOAL = 0.95


def measure_ingest(shop: Shop, path: Path, *, items: int | None, bare: int = 3000, workers: int = 1) -> list[Figure]:
    """Sends `items` products, or all, through the workers; compares the rate with the encoder alone before and after.

    The encoder alone gets the first `bare` products. Raises FatalError if the index does not match the events.
    """
    version = now_ms()
    sample = contents(islice(products(path, items), bare))
    before = asyncio.run(encode_rate(shop.settings, sample))
    with shop.workers(workers):
        start = shop.meter.cpu_s
        sent, seconds = shop.apply(products(path, items, version=version), topic=shop.settings.backfill_topic)
        spent = {name: cpu - start.get(name, 0.0) for name, cpu in shop.meter.cpu_s.items()}
        peaks = dict(shop.meter.peak_mb)
    after = asyncio.run(encode_rate(shop.settings, sample))
    correct = asyncio.run(check_index(shop.settings, ExpectedState.of(products(path, items, version=version))))
    rate, encoder_rate = sent / seconds, (before + after) / 2
    return [
        Figure(f"{sent:,} new products", rate, "items/s", rate / encoder_rate, "encoder", GOAL),
        Figure("encoder alone, before", before, "items/s"),
        Figure("encoder alone, after", after, "items/s"),
        Figure("products compared, all right", correct, ""),
        *resource_figures(peaks, spent),
    ]
