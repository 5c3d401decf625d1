"""The bare encoder as the worker runs it, and torch beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np

from catalog.product import Content
from encoders import EncoderService
from liveshelf.bench.catalogue import BATCH, contents, products
from liveshelf.bench.figures import Figure
from liveshelf.settings import Settings
from liveshelf.wiring import encoder_of

QUERIES = 60
QUERY_MS = 3.0


def measure_encode(settings: Settings, path: Path, *, items: int) -> list[Figure]:
    """Items a second without Kafka and index, and how long a query of text takes, by turns with the same in torch."""
    some = contents(products(path, items))
    torchs = settings.model_copy(update={"runtime": "torch"})
    (fast, runs), (slow, runs_slow) = asyncio.run(_item_rates((settings, torchs), some))
    (soon, _), (late, _) = asyncio.run(_query_ms((settings, torchs), [item.title for item in some]))
    return [
        Figure(f"items encoded, {runs}", fast, "items/s", fast / slow, "torch"),
        Figure(f"items encoded, {runs_slow}", slow, "items/s"),
        Figure("a query of text, p50", soon, "ms", late / soon, "torch's speed", most=QUERY_MS),
        Figure("a query of text, p50, torch", late, "ms"),
    ]


async def _item_rates(contenders: Sequence[Settings], items: Sequence[Content]) -> list[tuple[float, str]]:
    async with AsyncExitStack() as stack:
        encoders = [await stack.enter_async_context(encoder_of(settings)) for settings in contenders]
        took = [0.0] * len(encoders)
        for start in range(0, len(items), 2 * BATCH):
            for n, encoder in enumerate(encoders):
                began = time.perf_counter()
                # Two batches at once, as the worker has them: one's photos are decoded beside the other's forwards.
                halves = (items[start : start + BATCH], items[start + BATCH : start + 2 * BATCH])
                await asyncio.gather(*(_encode(encoder, half) for half in halves))
                took[n] += time.perf_counter() - began
        return [(len(items) / seconds, encoder.runs) for seconds, encoder in zip(took, encoders, strict=True)]


async def _encode(encoder: EncoderService, items: Sequence[Content]) -> None:
    await encoder.encode(await encoder.prepare(items))


async def _query_ms(contenders: Sequence[Settings], titles: Sequence[str]) -> list[tuple[float, str]]:
    async with AsyncExitStack() as stack:
        encoders = [await stack.enter_async_context(encoder_of(settings, forwards=1)) for settings in contenders]
        took: list[list[float]] = [[] for _ in encoders]
        for i in range(QUERIES):
            # Each asked once, since what was asked before is remembered.
            asked = f"{titles[i % len(titles)]} {i}"
            for n, encoder in enumerate(encoders):
                began = time.perf_counter()
                await encoder.encode_query(text=asked, image=None)
                took[n].append(1000 * (time.perf_counter() - began))
        return [(float(np.median(ms)), encoder.runs) for ms, encoder in zip(took, encoders, strict=True)]
