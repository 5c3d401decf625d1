"""Settings to policies, and to the parts that the worker and the search service share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pydantic import SecretStr

from encoders import load
from encoders.images import ImagePolicy, Images
from encoders.service import EncoderService
from indexer import CollectionPolicy
from liveshelf.settings import Settings
from streams.policy import Kafka, Security, Topics


def kafka_of(settings: Settings) -> Kafka:
    s = settings
    security = Security(
        protocol=s.kafka_security,
        mechanism=s.kafka_sasl,
        username=s.kafka_username,
        password=secret(s.kafka_password),
        ca_file=str(s.kafka_ca_file) if s.kafka_ca_file else None,
    )
    return Kafka(bootstrap=s.kafka, group=s.group, member=s.member, security=security)


def topics_of(settings: Settings) -> Topics:
    s = settings
    return Topics(
        live=s.topic,
        backfill=s.backfill_topic,
        quarantine=s.quarantine_topic,
        partitions=s.partitions,
        replication=s.replication,
    )


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


def collection_policy_of(settings: Settings) -> CollectionPolicy:
    return CollectionPolicy(name=settings.collection, indexed=settings.indexed_attributes)


@asynccontextmanager
async def encoder_of(settings: Settings) -> AsyncIterator[EncoderService]:
    """The model of the settings, loaded, with the photos it may fetch."""
    async with AsyncExitStack() as stack:
        images = await stack.enter_async_context(Images(image_policy_of(settings)))
        model = await asyncio.to_thread(load, settings.model, device=settings.device, threads=settings.threads)
        yield await stack.enter_async_context(EncoderService(model, images))


def secret(value: SecretStr | None) -> str | None:
    """The text of a secret, for the part that sends it."""
    return value.get_secret_value() if value else None
