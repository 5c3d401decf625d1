"""Start, memory, throughput and latency of a model: `python benchmarks/encode.py [MODEL]`."""

from __future__ import annotations

import asyncio
import io
import sys
import time

import numpy as np
import psutil
from PIL import Image

BEGUN = time.perf_counter()


class Drawn:
    """Photos of noise, one per address, as JPEG."""

    def __init__(self, count: int, side: int) -> None:
        draw = np.random.default_rng(0)
        self._photos = [self._photo(draw, side) for _ in range(count)]

    @staticmethod
    def _photo(draw: np.random.Generator, side: int) -> bytes:
        out = io.BytesIO()
        coarse = Image.fromarray(draw.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(out, "JPEG")
        return out.getvalue()

    async def fetch(self, url: str) -> bytes:
        return self._photos[int(url)]


async def main(name: str) -> None:
    from catalog.product import Content
    from encoders import EncoderService, load

    model = load(name)
    photos = Drawn(512, 300)
    async with EncoderService(model, photos) as service:
        print(f"ready after {time.perf_counter() - BEGUN:.1f} s, {psutil.Process().memory_info().rss >> 20} MB")
        items = [Content(f"Meridian canvas day bag number {i}, water repellent", (str(i),)) for i in range(512)]
        started = time.perf_counter()
        prepared = await service.prepare(items)
        between = time.perf_counter()
        await service.encode(prepared)
        print(f"prepare {512 / (between - started):.0f}/s, encode {512 / (time.perf_counter() - between):.0f}/s")
        times = []
        for i in range(100):
            started = time.perf_counter()
            await service.encode_query(text=f"red striped mug {i}", image=None)
            times.append(time.perf_counter() - started)
        print(f"a query of text: {1000 * np.median(times):.1f} ms p50, {1000 * np.quantile(times, 0.95):.1f} ms p95")
        print(f"{psutil.Process().memory_info().rss >> 20} MB at the end")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "builtin:small"))
