"""Builds and runs the worker: Kafka consumers, encoder, index writer and image retries."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from catalog.ingest.batch import IngestBatch
from catalog.ingest.image_retry import ImageRetrier, ImageRetryPolicy
from catalog.ingest.ingest import Ingest, IngestPolicy
from catalog.ingest.reject_limit import RejectLimit
from encoders.batching.executor import Priority
from encoders.model import Model
from encoders.service import EncoderService
from indexer import QdrantImageRetryQueue, QdrantWriter, RequestPolicy, connect, ensure, prepare
from liveshelf.settings import Settings, secret
from liveshelf.wiring.encoder import collection_policy_of, encoder_of
from liveshelf.wiring.kafka import kafka_of, topics_of
from liveshelf.wiring.parser_config import parser_config_of
from resilience.atomic_files import write_atomically
from streams.config import BatchPolicy, StallPolicy, WorkerPolicy
from streams.pipeline.pipeline import Pipeline
from streams.quarantine.topic import KafkaQuarantine
from streams.topics import create_topics
from streams.worker.worker import Worker, run_worker

READY_POLL_S = 0.2


async def run_ingest(settings: Settings, model: Future[Model] | None = None, *, standby: bool = False) -> int:
    """Indexes both topics until SIGTERM. Returns the exit code of the process.

    `model` and `standby` are as in `worker_of`.
    """
    async with AsyncExitStack() as stack:
        worker, _ = await stack.enter_async_context(worker_of(settings, model, standby=standby))
        if settings.ready_file is not None:
            await stack.enter_async_context(_maintain_ready_file(settings.ready_file, lambda: worker.ready))
        return await run_worker(worker)


@asynccontextmanager
async def worker_of(
    settings: Settings, model: Future[Model] | None = None, *, standby: bool = False
) -> AsyncIterator[tuple[Worker, EncoderService]]:
    """Yields a worker that does not run yet, and the encoder that its lanes share.

    `model` is the result of `load_in_background` with the settings' `worker_nice`. The topics and the collection exist
    on entry. A `standby` worker fills the collection of its model while the alias serves another collection.
    Raises Unavailable if the broker or the index does not answer. Raises FatalError if the alias serves another model's
    collection and `standby` is False.
    """
    kafka, topics, timeout = kafka_of(settings), topics_of(settings), settings.qdrant_timeout_seconds
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(create_topics, kafka, topics)
        client = connect(settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=timeout)
        stack.push_async_callback(client.close)
        encoder = await stack.enter_async_context(encoder_of(settings, nice=settings.worker_nice, model=model))
        make_ready = prepare if standby else ensure
        collection = await make_ready(client, encoder.space, collection_policy_of(settings))
        requests = RequestPolicy(timeout_s=timeout)
        index = QdrantWriter(client, collection=collection, space=encoder.space, policy=requests)
        quarantine = await stack.enter_async_context(KafkaQuarantine(kafka, topics))
        policy = IngestPolicy(
            parser=parser_config_of(settings),
            reject_limit=RejectLimit(max_share=settings.reject_max_share, min_count=settings.reject_min_count),
            image_retry=image_retry_policy_of(settings),
        )
        batch = BatchPolicy(max_records=settings.batch_max_records, within_s=settings.batch_max_wait_seconds)

        def lane(name: str, priority: Priority) -> Pipeline[IngestBatch]:
            product_encoder = encoder.lane(priority)
            ingest = Ingest(index=index, encoder=product_encoder, quarantine=quarantine, policy=policy, clock=time.time)
            return Pipeline(ingest, lane=name, batch=batch)

        lanes = {topics.live: lane("live", Priority.LIVE), topics.backfill: lane("back-fill", Priority.BACKFILL)}
        stall = StallPolicy(seconds=max(settings.stall_timeout_seconds, 2 * timeout))
        limits = WorkerPolicy(
            batch=batch,
            stall=stall,
            drain_s=settings.drain_timeout_seconds,
            session_s=settings.kafka_session_timeout_seconds,
        )
        repair = ImageRetrier(
            index=index,
            retry_queue=QdrantImageRetryQueue(client, collection=collection, timeout_s=timeout),
            encoder=encoder.lane(Priority.BACKFILL),
            policy=policy.image_retry,
        )
        yield Worker(kafka, lanes, policy=limits, background=[repair.run] if settings.image_retry else []), encoder


def image_retry_policy_of(settings: Settings) -> ImageRetryPolicy:
    return ImageRetryPolicy(delays_s=settings.image_retry_delays_seconds if settings.image_retry else ())


@asynccontextmanager
async def _maintain_ready_file(file: Path, ready: Callable[[], bool]) -> AsyncIterator[None]:
    """While entered, the file exists exactly while `ready()` is true."""

    async def poll() -> None:
        written = False
        while True:
            if ready() != written:
                written = not written
                await asyncio.to_thread(_write, file, written)
            await asyncio.sleep(READY_POLL_S)

    poller = asyncio.create_task(poll())
    try:
        yield
    finally:
        poller.cancel()
        with suppress(asyncio.CancelledError):
            await poller
        await asyncio.to_thread(_write, file, False)


def _write(file: Path, ready: bool) -> None:
    if not ready:
        file.unlink(missing_ok=True)
        return
    write_atomically(file, json.dumps({"pid": os.getpid()}), fsync=False)
