"""The baseline: a simple Faust pipeline.

Every change is a full product. The pipeline decodes, encodes and writes 64 products at a time, one step after the
other. It has no versions, no fingerprints and no overlap of steps. Model, image fetcher and broker settings are
liveshelf's own.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faust
from qdrant_client import models

from catalog.errors import ImageProblem
from encoders import Inputs, Model
from encoders.images import ImageFetcher, decode
from encoders.model import finish_items
from indexer import connect
from liveshelf.settings import Settings, load_settings, secret
from liveshelf.wiring.encoder import image_policy_of, model_of

TAKE = 64
WITHIN_S = 0.5
COMMIT_EVERY_S = 1.0  # as in liveshelf's worker, so that waiting for offsets costs both the same


class SimpleEncoder:
    """Encodes titles and photos to vectors."""

    def __init__(self, settings: Settings) -> None:
        self._policy = image_policy_of(settings)
        self._images = ImageFetcher(self._policy)
        self.model: Model = model_of(settings)

    async def __call__(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any] | None]:
        """The named vectors of each product; None if a vector is not finite."""
        inputs = await asyncio.gather(*(self._read(event) for event in events))
        return await asyncio.to_thread(self._forward, inputs)

    async def _read(self, event: dict[str, Any]) -> Inputs:
        photo = None
        for url in event.get("images") or ():
            try:
                photo = await asyncio.to_thread(
                    decode, await self._images.fetch(url), self._policy, target=self.model.photo_side
                )
                break
            except ImageProblem:
                continue
        return self.model.prepare(event.get("title") or "", photo)

    def _forward(self, inputs: Sequence[Inputs]) -> list[dict[str, Any] | None]:
        return list(finish_items(self.model.forward_items(inputs), inputs))


async def create_collection(settings: Settings, model: Model) -> None:
    """Creates an empty collection for the model's vectors."""
    client = connect(
        settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=settings.qdrant_timeout_seconds
    )
    vectors = {
        name: models.VectorParams(size=dim, distance=models.Distance.COSINE)
        for name, dim in model.space.vectors.items()
    }
    await client.create_collection(settings.collection, vectors_config=vectors)
    await client.close()


def create_app(settings: Settings, encoder: SimpleEncoder, ready: Path) -> faust.App:
    """The Faust application. It creates the file `ready` when it has its partitions; Faust's folder is beside it."""
    app = faust.App(
        settings.kafka_group_id,
        datadir=ready.parent / "faust",  # by default Faust makes a folder where the command was typed
        broker=f"kafka://{settings.kafka_bootstrap_servers}",
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        topic_disable_leader=True,
        broker_commit_interval=COMMIT_EVERY_S,
        consumer_auto_offset_reset="earliest",
    )
    topic = app.topic(
        settings.live_topic, value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw"
    )

    async def index(stream: Any) -> None:
        qdrant = connect(settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=60)
        async for values in stream.take(TAKE, within=WITHIN_S):
            events = [json.loads(value) for value in values]
            points = [
                models.PointStruct(id=str(uuid.uuid5(uuid.NAMESPACE_URL, event["id"])), vector=vectors, payload=event)
                for event, vectors in zip(events, await encoder(events), strict=True)
                if vectors is not None
            ]
            await qdrant.upsert(settings.collection, points, wait=True)

    async def assigned(*_: Any, **__: Any) -> None:
        await asyncio.to_thread(ready.touch)

    app.agent(topic)(index)
    app.on_partitions_assigned.connect(assigned)
    return app


def main() -> None:
    """Runs until SIGTERM. Address, topic, group, collection and ready file come from the LIVESHELF_ settings."""
    settings = load_settings()
    if settings.ready_file is None:
        raise SystemExit("LIVESHELF_READY_FILE is not set: set it to the path of the ready file.")
    encoder = SimpleEncoder(settings)
    asyncio.run(create_collection(settings, encoder.model))
    faust.Worker(create_app(settings, encoder, settings.ready_file), loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main()
