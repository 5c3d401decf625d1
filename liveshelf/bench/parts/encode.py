"""The encoder alone, as the worker runs it, by the size of its forwards; torch and other libraries' loops by turns."""

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
from liveshelf.bench.harness.shop import roots
from liveshelf.settings import Settings
from liveshelf.wiring.encoder import encode_policy_of, forwards_of, model_of, query_threads_of

SIZES = (1, 8, 16, 32)
ROUNDS = 5
ROUND = 64  # products of one turn
QUERIES = 200
QUERY_ROUND = 50  # of them one after the other to one contender, as a search is asked
QUERY_MS = 3.0

Run = Callable[[Sequence[Content]], Awaitable[object]]


def measure_encode(settings: Settings, path: Path, *, items: int) -> list[Figure]:
    """What a product costs by the size of forwards, its parts alone, and how long a query of words takes.

    Contenders are asked by turns, each round with other products of the catalogue's first `items`; a figure is the
    median of the rounds. Nothing is remembered, and photos are at hand.
    """
    here = settings.model_copy(update={"image_file_roots": roots(settings, path)})
    return asyncio.run(_measured(here, contents(products(path, items))))


async def _measured(settings: Settings, given: Sequence[Content]) -> list[Figure]:
    photos = PrefetchedImages()
    items = await photos.load(settings, given)
    forwards = forwards_of(settings)
    models = _models(settings, forwards=forwards)
    titles = [replace(item, images=()) for item in items if item.title]
    shown = [replace(item, title="") for item in items if item.images]
    figures = []
    for size in SIZES:
        async with AsyncExitStack() as stack:
            runs = {name: _encode(one) for name, one in (await _enter(stack, settings, models, photos, size)).items()}
            figures += await _by_turns(f"products, {size} in a forward", runs, items)
    async with AsyncExitStack() as stack:
        services = await _enter(stack, settings, models, photos, SIZES[-1])
        runs = {name: _encode(one) for name, one in services.items()}
        side = next(iter(models.values())).photo_side
        looked = {name: _looped(loop, photos) for name, loop in photo_loops(side).items()}
        figures += await _by_turns("photos alone", runs | looked, shown)
        said = {name: _read(loop) for name, loop in title_loops().items()}
        figures += await _by_turns("titles alone", runs | said, titles)
        first = next(iter(services))
        figures += await _by_turns("prepare alone", {first: services[first].prepare}, items)
    return figures + await _asked(settings, [item.title for item in titles])


def _models(settings: Settings, *, forwards: int) -> dict[str, Model]:
    """The model as it is served, and in torch, by what runs it; one where that is torch."""
    torchs = settings.model_copy(update={"runtime": "torch"})
    made = [model_of(one, forwards=forwards) for one in (settings, torchs)]
    return {model.runs.replace(" runs it in ", ", "): model for model in made}


async def _enter(
    stack: AsyncExitStack, settings: Settings, models: Mapping[str, Model], photos: PrefetchedImages, size: int
) -> dict[str, EncoderService]:
    policy = replace(
        encode_policy_of(settings, forwards=forwards_of(settings)),
        batch=size,
        forward_s=60.0,  # so that the size is what is asked for, however long it takes
        cache=FeatureCachePolicy(entries=0),
        placeholders=PlaceholderPolicy(titles=0),
    )
    return {
        name: await stack.enter_async_context(EncoderService(model, photos, policy)) for name, model in models.items()
    }


def _encode(encoder: EncoderService) -> Run:
    async def part(items: Sequence[Content]) -> None:
        await encoder.encode(await encoder.prepare(items))

    async def run(items: Sequence[Content]) -> None:
        # Two batches at once, as the worker has them: one's photos are decoded beside the other's forwards.
        for start in range(0, len(items), 2 * BATCH):
            halves = (items[start : start + BATCH], items[start + BATCH : start + 2 * BATCH])
            await asyncio.gather(*(part(half) for half in halves))

    return run


def _looped(loop: Callable[[Sequence[bytes]], None], photos: PrefetchedImages) -> Run:
    async def run(items: Sequence[Content]) -> None:
        loop([await photos.fetch(item.images[0]) for item in items])

    return run


def _read(loop: Callable[[Sequence[str]], None]) -> Run:
    async def run(items: Sequence[Content]) -> None:
        loop([item.title for item in items])

    return run


async def _by_turns(what: str, runs: Mapping[str, Run], items: Sequence[Content]) -> list[Figure]:
    """A figure for each, the first beside the others."""
    if not items:
        return []
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for n in range(1 + ROUNDS):
        some = [items[(n * ROUND + i) % len(items)] for i in range(min(ROUND, len(items)))]
        for name, run in runs.items():
            began, cpu = time.perf_counter(), time.process_time()
            await run(some)
            spent = (time.perf_counter() - began) / len(some), (time.process_time() - cpu) / len(some)
            if n:  # the first round makes ready what comes with the first forward of a size
                took[name].append(spent)
    medians = {name: np.median(np.array(rounds), axis=0) for name, rounds in took.items()}
    first, *rest = (
        (f"{what}: {name}", 1 / float(seconds), 1000 * float(cpu)) for name, (seconds, cpu) in medians.items()
    )
    beside = [Figure(name, rate, "items/s", first[1] / rate, "slower", cpu_ms=cpu) for name, rate, cpu in rest]
    return [Figure(first[0], first[1], "items/s", cpu_ms=first[2]), *beside]


async def _asked(settings: Settings, titles: Sequence[str]) -> list[Figure]:
    """Queries of words on the threads that a search has, one after the other, each asked once: none is remembered."""
    if not titles:
        return []
    models = _models(settings.model_copy(update={"encoder_threads": query_threads_of(settings)}), forwards=1)
    took: dict[str, list[float]] = {name: [] for name in models}
    async with AsyncExitStack() as stack:
        services = await _enter(stack, settings, models, PrefetchedImages(), SIZES[-1])
        for begin in range(0, QUERIES, QUERY_ROUND):
            for name, encoder in services.items():
                for n in range(begin, begin + QUERY_ROUND):
                    began = time.perf_counter()
                    await encoder.encode_query(text=f"{titles[n % len(titles)]} {n}", image=None)
                    took[name].append(1000 * (time.perf_counter() - began))
    figures = []
    for share, goal in ((50, QUERY_MS), (95, None)):
        first, *rest = (
            (f"a query of words, p{share}: {name}", float(np.percentile(ms, share))) for name, ms in took.items()
        )
        figures.append(Figure(first[0], first[1], "ms", most=goal))
        figures += [Figure(name, ms, "ms", ms / first[1], "slower") for name, ms in rest]
    return figures
