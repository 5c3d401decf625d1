"""Replays the topic from its start: no product is encoded a second time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from catalog.errors import FatalError
from liveshelf.bench.harness.catalogue import contents, encode_rate, products
from liveshelf.bench.harness.changes import now_ms
from liveshelf.bench.harness.figures import Figure
from liveshelf.bench.harness.in_process_worker import run_in_process
from liveshelf.bench.harness.shop import Shop

GOAL = 10.0


def measure_replay(shop: Shop, path: Path, *, items: int) -> list[Figure]:
    """Loads `items` products, then replays them as another consumer group. Raises FatalError if the model ran again."""
    catalogue = list(products(path, items, version=now_ms()))
    alone = asyncio.run(encode_rate(shop.settings, contents(catalogue)))
    _, ends = shop.send(catalogue)
    asyncio.run(run_in_process(shop, shop.settings, ends))
    other = shop.settings.model_copy(update={"kafka_group_id": f"{shop.settings.kafka_group_id}-replay"})
    replay = asyncio.run(run_in_process(shop, other, ends))
    if replay.forwards:
        raise FatalError(f"The replay ran the model {replay.forwards} times, for {replay.encoded} products.")
    rate = replay.records / replay.seconds
    return [
        Figure(f"replay of {replay.records:,} events, no forward", rate, "events/s", rate / alone, "encoder", GOAL),
        Figure("encoder alone", alone, "items/s"),
    ]
