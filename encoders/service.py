"""The catalogue's encoder ports over any model: queries, the live lane and the back-fill lane share its device."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from catalog.domain.product import Content
from catalog.domain.space import Space
from catalog.errors import InvalidInput
from catalog.ports import EncodedItem, ImageSource, PreparedItem, Vector
from encoders.batching.executor import Priority
from encoders.batching.oom_split import run_splitting_on_oom
from encoders.batching.query_batcher import QueryBatcher
from encoders.caching.query_vectors import ignores_case
from encoders.lane import EncoderLane
from encoders.model import Inputs, Model, to_vectors
from encoders.policy import EncodePolicy
from encoders.resources import EncoderResources


class EncoderService:
    """A QueryEncoder, an ItemEncoder for each lane, and itself the ItemEncoder of the live lane.

    `forwards` is the number of forward passes of items, `forward_seconds` their total time, and `encoded` the number of
    items with vectors.
    """

    def __init__(self, model: Model, images: ImageSource, policy: EncodePolicy | None = None) -> None:
        self._model = model
        self._resources = resources = EncoderResources.create(model, images, policy or EncodePolicy())
        limits, device, encode = resources.policy.queries, resources.device, self._encode_queries
        self._text_queries = QueryBatcher(encode, device, max_batch=limits.words, max_waiting=limits.waiting)
        self._photo_queries = QueryBatcher(encode, device, max_batch=limits.photos, max_waiting=limits.waiting)
        self._lanes = {priority: EncoderLane(resources, priority) for priority in (Priority.LIVE, Priority.BACKFILL)}

    @property
    def forwards(self) -> int:
        return self._resources.forward.count

    @property
    def forward_seconds(self) -> float:
        return self._resources.forward.seconds

    @property
    def encoded(self) -> int:
        return self._resources.forward.encoded

    @property
    def cache_hits(self) -> int:
        """Photos that skipped the model, because it has encoded the same pixels before."""
        return self._resources.forward.cache.hits

    @property
    def runs(self) -> str:
        """The model's runtime, in a few words for people."""
        return self._model.runs

    @property
    def space(self) -> Space:
        return self._model.space

    @property
    def uncased(self) -> bool:
        """Whether upper and lower case are the same to the model."""
        return ignores_case(self._model)

    def lane(self, priority: Priority) -> EncoderLane:
        """The lane of LIVE or of BACKFILL work. Each lane must have a single user."""
        return self._lanes[priority]

    async def start(self) -> None:
        """Run the model once, so that the first call does not wait for torch's first forward pass."""
        from PIL import Image

        side = self._model.photo_side
        inputs = [self._model.prepare("warm", Image.new("RGB", (side, side))), self._model.prepare("up", None)]
        await self._resources.device.run(
            lambda: run_splitting_on_oom(lambda batch: [self._model.forward_items(batch)], inputs),
            priority=Priority.LIVE,
        )

    async def aclose(self) -> None:
        """Wait for the running calls and end the threads."""
        await asyncio.to_thread(self._resources.decoding.close)
        await asyncio.to_thread(self._resources.device.close)

    async def __aenter__(self) -> EncoderService:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def prepare(self, items: Sequence[Content]) -> Sequence[PreparedItem]:
        """`prepare` of the live lane."""
        return await self.lane(Priority.LIVE).prepare(items)

    async def encode(self, prepared: Sequence[PreparedItem]) -> Sequence[EncodedItem | None]:
        """`encode` of the live lane."""
        return await self.lane(Priority.LIVE).encode(prepared)

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        """One fused vector (dim,) of a text, an image or both; concurrent queries share a forward pass.

        Raises ImageProblem if the image cannot be decoded and InvalidInput if the query is empty or the model gives no
        finite vector. Raises Unavailable if too many queries wait.
        """
        resources = self._resources
        if image is not None:
            inputs = await resources.decoding.run(
                lambda: resources.reader.read(text or "", image), priority=Priority.QUERY
            )
            return await self._photo_queries.vector(lambda: inputs)
        if not (text and text.strip()):
            raise InvalidInput("A query needs a text or an image: give at least one of them.")
        # The device's thread tokenizes a text: that takes less time than another change of threads.
        return await self._text_queries.vector(lambda: resources.reader.read(text, None))

    def _encode_queries(self, batch: Sequence[Inputs]) -> list[Vector]:
        return run_splitting_on_oom(lambda part: list(to_vectors(self._model.forward_queries(part))), batch)
