"""What the worker and the search service share: the encoder, and the policies of photos and collection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from encoders import load
from encoders.images import ImagePolicy, Images
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
        concurrency=s.image_concurrency,
    )


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
