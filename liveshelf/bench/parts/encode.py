"""The encoder alone, as the worker runs it, by forward size, compared with torch and other libraries' loops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from catalog.domain.product import Content
from encoders import EncoderService, Model
from encoders.caching.image_features import FeatureCachePolicy
from encoders.caching.placeholders import PlaceholderPolicy
from liveshelf.bench.baselines.encoder_loops import photo_loops, title_loops
from liveshelf.bench.harness.catalogue import BATCH, PrefetchedImages, contents, products
from liveshelf.bench.harness.figures import Figure
from liveshelf.bench.harness.shop import image_roots
from liveshelf.settings import Settings
from liveshelf.wiring.encoder import encode_policy_of, forwards_of, model_of, query_threads_of

SIZES = (1, 8, 16, 32)
ROUNDS = 5
ROUND = 64  # products of one round
QUERIES = 200
QUERY_ROUND = 50  # queries in a row to one contender, one after the other
QUERY_MS = 3.0

Run = Callable[[Sequence[Content]], Awaitable[object]]


def measure_encode(settings: Settings, path: Path, *, items: int) -> list[Figure]:
    """Measures the cost of a product by forward size, photos and titles alone, and the latency of a text query.

    Contenders run by turns; each round uses other products of the catalogue's first `items`. A figure is the median of
    the rounds. Caches are off, and photos are fetched beforehand.
    """
    encode_settings = settings.model_copy(update={"image_file_roots": image_roots(settings, path)})
    return asyncio.run(_measure(encode_settings, contents(products(path, items))))


async def _measure(settings: Settings, catalogue_items: Sequence[Content]) -> list[Figure]:
    photos = PrefetchedImages()
    items = await photos.load(settings, catalogue_items)
    forwards = forwards_of(settings)
    models = _models(settings, forwards=forwards)
    with_titles = [replace(item, images=()) for item in items if item.title]
    with_photos = [replace(item, title="") for item in items if item.images]
    figures = []
    for size in SIZES:
        async with AsyncExitStack() as stack:
            runs = {
                name: _encoder_run(encoder)
                for name, encoder in (await _enter(stack, settings, models, photos, size)).items()
            }
            figures += await _by_turns(f"products, {size} in a forward", runs, items)
    async with AsyncExitStack() as stack:
        services = await _enter(stack, settings, models, photos, SIZES[-1])
        runs = {name: _encoder_run(encoder) for name, encoder in services.items()}
        side = next(iter(models.values())).photo_side
        photo_runs = {name: _photo_run(loop, photos) for name, loop in photo_loops(side).items()}
        figures += await _by_turns("photos alone", runs | photo_runs, with_photos)
        title_runs = {name: _title_run(loop) for name, loop in title_loops().items()}
        figures += await _by_turns("titles alone", runs | title_runs, with_titles)
        first = next(iter(services))
        figures += await _by_turns("prepare alone", {first: services[first].prepare}, items)
    return figures + await _query_latency(settings, [item.title for item in with_titles])


def _models(settings: Settings, *, forwards: int) -> dict[str, Model]:
    """The model as served, and in torch, by runtime; one model if it is served by torch."""
    in_torch = settings.model_copy(update={"runtime": "torch"})
    models = [model_of(variant, forwards=forwards) for variant in (settings, in_torch)]
    return {model.runs.replace(" runs it in ", ", "): model for model in models}


async def _enter(
    stack: AsyncExitStack, settings: Settings, models: Mapping[str, Model], photos: PrefetchedImages, size: int
) -> dict[str, EncoderService]:
    policy = replace(
        encode_policy_of(settings, forwards=forwards_of(settings)),
        batch=size,
        forward_s=60.0,  # so that time does not limit the batch size
        cache=FeatureCachePolicy(entries=0),
        placeholders=PlaceholderPolicy(titles=0),
    )
    return {
        name: await stack.enter_async_context(EncoderService(model, photos, policy)) for name, model in models.items()
    }


def _encoder_run(encoder: EncoderService) -> Run:
    async def encode(items: Sequence[Content]) -> None:
        await encoder.encode(await encoder.prepare(items))

    async def run(items: Sequence[Content]) -> None:
        # Two batches at once, as in the worker: photos of one are decoded during the forwards of the other.
        for start in range(0, len(items), 2 * BATCH):
            halves = (items[start : start + BATCH], items[start + BATCH : start + 2 * BATCH])
            await asyncio.gather(*(encode(half) for half in halves))

    return run


def _photo_run(loop: Callable[[Sequence[bytes]], None], photos: PrefetchedImages) -> Run:
    async def run(items: Sequence[Content]) -> None:
        loop([await photos.fetch(item.images[0]) for item in items])

    return run


def _title_run(loop: Callable[[Sequence[str]], None]) -> Run:
    async def run(items: Sequence[Content]) -> None:
        loop([item.title for item in items])

    return run


async def _by_turns(what: str, runs: Mapping[str, Run], items: Sequence[Content]) -> list[Figure]:
    """A figure for each run; the ratios compare the first with the others."""
    if not items:
        return []
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for n in range(1 + ROUNDS):
        batch = [items[(n * ROUND + i) % len(items)] for i in range(min(ROUND, len(items)))]
        for name, run in runs.items():
            started, cpu = time.perf_counter(), time.process_time()
            await run(batch)
            spent = (time.perf_counter() - started) / len(batch), (time.process_time() - cpu) / len(batch)
            if n:  # the first round warms up each forward size
                took[name].append(spent)
    medians = {name: np.median(np.array(rounds), axis=0) for name, rounds in took.items()}
    first, *rest = (
        (f"{what}: {name}", 1 / float(seconds), 1000 * float(cpu)) for name, (seconds, cpu) in medians.items()
    )
    others = [Figure(name, rate, "items/s", first[1] / rate, "slower", cpu_ms=cpu) for name, rate, cpu in rest]
    return [Figure(first[0], first[1], "items/s", cpu_ms=first[2]), *others]


async def _query_latency(settings: Settings, titles: Sequence[str]) -> list[Figure]:
    """Latency of text queries on the threads of a search service, one after the other; no text repeats."""
    if not titles:
        return []
    models = _models(settings.model_copy(update={"encoder_threads": query_threads_of(settings)}), forwards=1)
    took: dict[str, list[float]] = {name: [] for name in models}
    async with AsyncExitStack() as stack:
        services = await _enter(stack, settings, models, PrefetchedImages(), SIZES[-1])
        for start in range(0, QUERIES, QUERY_ROUND):
            for name, encoder in services.items():
                for n in range(start, start + QUERY_ROUND):
                    started = time.perf_counter()
                    await encoder.encode_query(text=f"{titles[n % len(titles)]} {n}", image=None)
                    took[name].append(1000 * (time.perf_counter() - started))
    figures = []
    for share, goal in ((50, QUERY_MS), (95, None)):
        first, *rest = (
            (f"a query of words, p{share}: {name}", float(np.percentile(ms, share))) for name, ms in took.items()
        )
        figures.append(Figure(first[0], first[1], "ms", most=goal))
        figures += [Figure(name, ms, "ms", ms / first[1], "slower") for name, ms in rest]
    return figures
