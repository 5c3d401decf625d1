"""The time of a product by stage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from catalog.domain.product import Content
from catalog.errors import ImageProblem
from encoders import load
from encoders.images import ImageFetcher, decode
from liveshelf.bench.harness.catalogue import contents, products
from liveshelf.bench.harness.changes import now_ms
from liveshelf.bench.harness.figures import Figure
from liveshelf.bench.harness.in_process_worker import run_in_process
from liveshelf.bench.harness.shop import Shop
from liveshelf.settings import Settings
from liveshelf.wiring.encoder import forwards_of, image_policy_of


def measure_stages(shop: Shop, path: Path, *, items: int) -> list[Figure]:
    """Milliseconds of a product in each stage, photos one after the other, and on the whole path.

    The plan and write stages include the wait for the index. Batches overlap, so the sum of the stages exceeds the
    whole path. A forward's time is per item; `forwards_of` forwards run at once.
    """
    catalogue = list(products(path, items, version=now_ms()))
    fetch, read = asyncio.run(_photos(shop.settings, contents(catalogue)))
    _, ends = shop.send(catalogue)
    run = asyncio.run(run_in_process(shop, shop.settings, ends))
    records, encoded = max(1, run.records), max(1, run.encoded)
    at_once = forwards_of(shop.settings)
    return [
        Figure("fetch a photo", 1000 * fetch, "ms"),
        Figure("decode, scale, tokenize, alone", 1000 * read, "ms"),
        Figure("plan: read records, ask the index, decide", 1000 * run.stage("plan") / records, "ms"),
        Figure(f"forward, an item's share, {at_once} at once", 1000 * run.forward_seconds / encoded / at_once, "ms"),
        Figure("write: index and quarantine", 1000 * run.stage("write") / records, "ms"),
        Figure("whole path, overlapping", 1000 * run.seconds / records, "ms"),
    ]


async def _photos(settings: Settings, items: Sequence[Content]) -> tuple[float, float]:
    """Seconds per item to fetch a photo, and to prepare the model's input, one item after the other."""
    policy = image_policy_of(settings)
    model = load(settings.model, device=settings.device)
    fetching = reading = 0.0
    async with ImageFetcher(policy) as images:
        for item in items:
            started = time.perf_counter()
            data = await _first(images, item.images)
            fetched = time.perf_counter()
            try:
                photo = decode(data, policy, target=model.photo_side) if data is not None else None
            except ImageProblem:
                photo = None
            model.prepare(item.title, photo)
            fetching += fetched - started
            reading += time.perf_counter() - fetched
    count = max(1, len(items))
    return fetching / count, reading / count


async def _first(images: ImageFetcher, urls: Sequence[str]) -> bytes | None:
    for url in urls:
        try:
            return await images.fetch(url)
        except ImageProblem:
            continue
    return None
