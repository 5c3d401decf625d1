"""Builds what the worker and the search service share: the encoder, and the policies of images and collection."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from catalog.domain.state import ATTRIBUTE
from catalog.query.validate import QueryPolicy
from encoders import Model, load
from encoders.batching.query_batcher import QueryBatchPolicy
from encoders.caching.placeholders import PlaceholderPolicy
from encoders.images import HttpCachePolicy, ImageFetcher, ImagePolicy, S3Policy
from encoders.policy import EncodePolicy
from encoders.runtime import RuntimePolicy
from encoders.service import EncoderService
from liveshelf.settings import Settings

if TYPE_CHECKING:
    from indexer import CollectionPolicy, GraphPolicy

MOST_FORWARDS = 4


def image_policy_of(settings: Settings) -> ImagePolicy:
    s = settings
    return ImagePolicy(
        max_bytes=s.image_max_bytes,
        max_pixels=s.image_max_pixels,
        total_timeout_s=s.image_timeout_seconds,
        file_roots=tuple(root.resolve() for root in s.image_file_roots),
        allow_hosts=s.image_allow_hosts,
        allow_ports=s.image_allow_ports,
        ca_file=s.image_ca_file,
        concurrency=s.image_concurrency,
        per_host=s.image_concurrency_per_host,
        s3=S3Policy(buckets=s.image_s3_buckets, endpoint=s.image_s3_endpoint, threads=s.image_concurrency_per_host),
        cache=_cache_policy_of(s),
    )


def public_image_policy_of(settings: Settings) -> ImagePolicy:
    """The policy for images that a query names: public addresses only, and no cached photo of the catalogue."""
    limits = image_policy_of(settings)
    open_to_all = ImagePolicy()
    return replace(
        limits,
        allow_hosts=open_to_all.allow_hosts,
        allow_ports=open_to_all.allow_ports,
        file_roots=open_to_all.file_roots,
        s3=open_to_all.s3,
        cache=open_to_all.cache,
    )


def _cache_policy_of(settings: Settings) -> HttpCachePolicy | None:
    if not settings.image_cache_mb:
        return None
    return HttpCachePolicy(settings.cache_dir.expanduser() / "photos.sqlite", settings.image_cache_mb * 1_000_000)


def encode_policy_of(settings: Settings, *, forwards: int = 1, nice: int = 0) -> EncodePolicy:
    return EncodePolicy(
        batch=32 if settings.device == "cpu" else 256,  # larger batches exceed a core's cache and are slower
        forwards=forwards,
        nice=nice,
        queries=QueryBatchPolicy(words=settings.query_batch_max_size),
        fetches=settings.image_concurrency,
        photos=image_policy_of(settings),
        placeholders=PlaceholderPolicy(titles=settings.placeholder_min_titles),
    )


def collection_policy_of(settings: Settings) -> CollectionPolicy:
    from indexer import CollectionPolicy

    return CollectionPolicy(
        name=settings.collection,
        indexed=settings.indexed_attributes,
        quantized=settings.quantization == "int8",
        hnsw_m=settings.hnsw_m,
        hnsw_ef_construct=settings.hnsw_ef_construct,
    )


def graph_policy_of(settings: Settings) -> GraphPolicy:
    from indexer import GraphPolicy

    return GraphPolicy(
        ef=settings.hnsw_ef, rescore=settings.quantization_rescore, oversampling=settings.quantization_oversampling
    )


def query_policy_of(settings: Settings) -> QueryPolicy:
    return QueryPolicy(parent=ATTRIBUTE + settings.parent_attribute)


def forwards_of(settings: Settings) -> int:
    """How many concurrent forwards use the device best.

    A CPU runs several, each on its share of the cores. The threads of one forward wait for each other after every
    operation, and wait longest if another process runs on one of their cores.
    """
    return min(MOST_FORWARDS, _cores(settings)) if settings.device == "cpu" else 1


def runtime_policy_of(settings: Settings, *, forwards: int = 1, nice: int = 0) -> RuntimePolicy:
    threads = max(1, _cores(settings) // forwards)
    towers_dir = settings.cache_dir.expanduser() / "towers"
    return RuntimePolicy(
        settings.runtime, towers_dir, forwards=forwards, threads=threads, nice=nice, precision=settings.precision
    )


def model_of(settings: Settings, name: str | None = None, *, forwards: int = 1, nice: int = 0) -> Model:
    """Loads the model `name`, or the settings' model, for `forwards` that share the cores. Raises Misuse."""
    runtime = runtime_policy_of(settings, forwards=forwards, nice=nice)
    threads = settings.encoder_threads if forwards == 1 else runtime.threads
    return load(name or settings.model, device=settings.device, threads=threads, runtime=runtime)


def query_threads_of(settings: Settings) -> int:
    """Threads of a query's forward: half of the cores. A forward is too short for more, and responses need the rest."""
    return settings.encoder_threads or max(1, _cores(settings) // 2)


def _cores(settings: Settings) -> int:
    return settings.encoder_threads or os.cpu_count() or 1


@contextmanager
def load_in_background(settings: Settings, *, forwards: int | None = None, nice: int = 0) -> Iterator[Future[Model]]:
    """Loads the settings' model in a thread, for `encoder_of`, while the process imports its other modules.

    Loading the model is half of the start's CPU time, and most of it does not need the interpreter.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="loading") as thread:
        yield thread.submit(model_of, settings, forwards=forwards or forwards_of(settings), nice=nice)


@asynccontextmanager
async def encoder_of(
    settings: Settings, *, forwards: int | None = None, nice: int = 0, model: Future[Model] | None = None
) -> AsyncIterator[EncoderService]:
    """Yields an encoder with the settings' model and image fetcher. One forward at a time gives the lowest latency.

    `model` is the result of `load_in_background` with the same settings, `forwards` and `nice`.
    """
    forwards = forwards or forwards_of(settings)
    async with AsyncExitStack() as stack:
        images = await stack.enter_async_context(ImageFetcher(image_policy_of(settings)))
        if model is None:
            model = stack.enter_context(load_in_background(settings, forwards=forwards, nice=nice))
        policy = encode_policy_of(settings, forwards=forwards, nice=nice)
        yield await stack.enter_async_context(EncoderService(await asyncio.wrap_future(model), images, policy))
