"""Settings to parts: the one place that knows every adapter."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from pydantic import SecretStr

from catalog.events import Contract
from catalog.find import Find
from catalog.ingest import Ingest, IngestPolicy
from encoders import load
from encoders.images import ImagePolicy, Images
from encoders.service import EncoderService
from indexer.collection import CollectionPolicy, ensure
from indexer.connection import connect
from indexer.index import QdrantIndex, RequestPolicy
from indexer.shelf import QdrantShelf
from liveshelf.settings import Settings
from search.app import create_app
from search.health import index_health
from search.policy import SearchPolicy
from search.server import serve as serve_http
from streams.pipeline import Pipeline
from streams.policy import BatchPolicy, Kafka, Security, Topics, WorkerPolicy
from streams.quarantine import KafkaQuarantine
from streams.topics import create_topics
from streams.worker import Worker, run_worker

READY_POLL_S = 0.2


def kafka_of(settings: Settings) -> Kafka:
    s = settings
    security = Security(
        protocol=s.kafka_security,
        mechanism=s.kafka_sasl,
        username=s.kafka_username,
        password=_secret(s.kafka_password),
        ca_file=str(s.kafka_ca_file) if s.kafka_ca_file else None,
    )
    return Kafka(bootstrap=s.kafka, group=s.group, security=security)


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


@asynccontextmanager
async def encoder_of(settings: Settings) -> AsyncIterator[EncoderService]:
    """The model of the settings, loaded, with the photos it may fetch."""
    async with AsyncExitStack() as stack:
        images = await stack.enter_async_context(Images(image_policy_of(settings)))
        model = await asyncio.to_thread(load, settings.model, device=settings.device, threads=settings.threads)
        yield await stack.enter_async_context(EncoderService(model, images))


async def run_ingest(settings: Settings) -> int:
    """The worker: both topics to the index until SIGTERM. The process's exit code."""
    async with AsyncExitStack() as stack:
        worker, _ = await stack.enter_async_context(worker_of(settings))
        if settings.ready_file is not None:
            await stack.enter_async_context(_told(settings.ready_file, lambda: worker.ready))
        return await run_worker(worker)


@asynccontextmanager
async def worker_of(settings: Settings) -> AsyncIterator[tuple[Worker, EncoderService]]:
    """A worker that is yet to be run, and the encoder it shares between its lanes.

    Topics and collection exist when this has entered. Raises Unavailable where broker or index do not answer.
    """
    kafka, topics, timeout = kafka_of(settings), topics_of(settings), settings.qdrant_timeout_s
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(create_topics, kafka, topics)
        client = connect(settings.qdrant_url, api_key=_secret(settings.qdrant_api_key), timeout_s=timeout)
        stack.push_async_callback(client.close)
        encoder = await stack.enter_async_context(encoder_of(settings))
        collection = await ensure(client, encoder.space, collection_policy_of(settings))
        requests = RequestPolicy(timeout_s=timeout)
        ingest = Ingest(
            index=QdrantIndex(client, collection=collection, space=encoder.space, policy=requests),
            encoder=encoder,
            quarantine=await stack.enter_async_context(KafkaQuarantine(kafka, topics)),
            policy=IngestPolicy(contract=Contract(tenant=settings.tenant)),
        )
        batch = BatchPolicy(max_records=settings.batch_size, within_s=settings.batch_wait_ms / 1000)
        lanes = {
            topic: Pipeline(ingest, lane=lane, batch=batch)
            for lane, topic in (("live", topics.live), ("back-fill", topics.backfill))
        }
        yield Worker(kafka, lanes, policy=WorkerPolicy(batch=batch, drain_s=settings.drain_seconds)), encoder


def collection_policy_of(settings: Settings) -> CollectionPolicy:
    return CollectionPolicy(name=settings.collection, indexed=settings.indexed_attributes)


async def run_search(settings: Settings, *, insecure: bool = False) -> None:
    """The search service, until SIGTERM."""
    timeout = settings.qdrant_timeout_s
    async with AsyncExitStack() as stack:
        client = connect(settings.qdrant_url, api_key=_secret(settings.qdrant_api_key), timeout_s=timeout)
        stack.push_async_callback(client.close)
        encoder = await stack.enter_async_context(encoder_of(settings))
        images = await stack.enter_async_context(Images(image_policy_of(settings)))
        await ensure(client, encoder.space, collection_policy_of(settings))
        shelf = QdrantShelf(client, collection=settings.collection, space=encoder.space, timeout_s=timeout)
        app = create_app(
            find=Find(shelf=shelf, encoder=encoder),
            shelf=shelf,
            images=images,
            health=index_health(shelf, space=encoder.space.id),
            policy=SearchPolicy(tenant=settings.tenant),
        )
        await serve_http(app, settings.host, settings.port, settings.ready_file, insecure=insecure)


@asynccontextmanager
async def _told(file: Path, ready: Callable[[], bool]) -> AsyncIterator[None]:
    """While inside, the file is there exactly while `ready()` holds."""

    async def tell() -> None:
        told = False
        while True:
            if ready() != told:
                told = not told
                await asyncio.to_thread(_write, file, told)
            await asyncio.sleep(READY_POLL_S)

    teller = asyncio.create_task(tell())
    try:
        yield
    finally:
        teller.cancel()
        with suppress(asyncio.CancelledError):
            await teller
        await asyncio.to_thread(_write, file, False)


def _write(file: Path, ready: bool) -> None:
    if not ready:
        file.unlink(missing_ok=True)
        return
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_text(json.dumps({"pid": os.getpid()}), encoding="utf-8")
    part.replace(file)


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None
