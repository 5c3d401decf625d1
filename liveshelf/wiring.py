"""What the worker and the search service share: the encoder, and the policies of photos and collection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from encoders import load
from encoders.images import CachePolicy, ImagePolicy, Images, S3Policy
from encoders.placeholders import PlaceholderPolicy
from encoders.service import EncodePolicy, EncoderService
from indexer import CollectionPolicy
from liveshelf.settings import Settings


def image_policy_of(settings: Settings) -> ImagePolicy:
    s = settings
    return ImagePolicy(
        max_bytes=s.image_max_bytes,
        max_pixels=s.image_max_pixels,
        total_timeout_s=s.image_timeout_s,
        file_roots=tuple(root.resolve() for root in s.image_file_roots),
        allow_hosts=s.image_allow_hosts,
        allow_ports=s.image_allow_ports,
        ca_file=s.image_ca_file,
        concurrency=s.image_concurrency,
        per_host=s.image_per_host,
        s3=S3Policy(buckets=s.image_s3_buckets, endpoint=s.image_s3_endpoint, threads=s.image_per_host),
        cache=_cache_policy_of(s),
    )


def public_image_policy_of(settings: Settings) -> ImagePolicy:
    """What a stranger's query may name: the public internet alone, and no photo that was kept for the catalogue."""
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


def _cache_policy_of(settings: Settings) -> CachePolicy | None:
    if not settings.image_cache_mb:
        return None
    return CachePolicy(settings.cache.expanduser() / "photos.sqlite", settings.image_cache_mb * 1_000_000)


def encode_policy_of(settings: Settings) -> EncodePolicy:
    return EncodePolicy(
        fetches=settings.image_concurrency,
        photos=image_policy_of(settings),
        placeholders=PlaceholderPolicy(titles=settings.placeholder_titles),
    )


def collection_policy_of(settings: Settings) -> CollectionPolicy:
    return CollectionPolicy(name=settings.collection, indexed=settings.indexed_attributes)


@asynccontextmanager
async def encoder_of(settings: Settings) -> AsyncIterator[EncoderService]:
    """The model of the settings, loaded, with the photos it may fetch."""
    async with AsyncExitStack() as stack:
        images = await stack.enter_async_context(Images(image_policy_of(settings)))
        model = await asyncio.to_thread(load, settings.model, device=settings.device, threads=settings.threads)
        yield await stack.enter_async_context(EncoderService(model, images, encode_policy_of(settings)))
