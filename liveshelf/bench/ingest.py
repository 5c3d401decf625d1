"""A catalogue through Kafka into the index, beside the encoder alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from liveshelf.bench.catalogue import contents, encode_rate, products
from liveshelf.bench.changes import now_ms
from liveshelf.bench.figures import Figure, used
from liveshelf.bench.shop import Shop

GOAL = 0.85


def measure_ingest(shop: Shop, path: Path, *, items: int) -> list[Figure]:
    """Sends `items` products through one worker; items a second beside the encoder alone before and after."""
    catalogue = list(products(path, items, version=now_ms()))
    some = contents(catalogue)
    first = asyncio.run(encode_rate(shop.settings, some))
    with shop.workers(1):
        sent, seconds = shop.apply(catalogue, topic=shop.settings.backfill_topic)
        peaks = dict(shop.meter.peak_mb)
    alone = (first + asyncio.run(encode_rate(shop.settings, some))) / 2
    rate = sent / seconds
    return [
        Figure(f"{sent:,} new products", rate, "items/s", rate / alone, "encoder", GOAL),
        Figure("encoder alone", alone, "items/s"),
        *used(peaks, {}),
    ]
