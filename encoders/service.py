"""The catalogue's encoder ports over any model: a lane for each kind of work, and queries before all of them."""

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
from encoders.caching.query_vectors import reads_no_case
from encoders.lane import EncodePolicy, EncoderLane, EncoderResources
from encoders.model import Inputs, Model, to_vectors


class EncoderService:
    """A QueryEncoder, an ItemEncoder for each lane, and itself the live lane's.

    `forwards` counts the batches that went through the model, `forward_seconds` what they took, `encoded` the items
    that came out with vectors.
    """

    def __init__(self, model: Model, images: ImageSource, policy: EncodePolicy | None = None) -> None:
        self._model = model
        self._shared = EncoderResources(model, images, policy or EncodePolicy())
        queries, device = self._shared.policy.queries, self._shared.device
        self._words = QueryBatcher(self._queries, device, together=queries.words, waiting=queries.waiting)
        self._photos = QueryBatcher(self._queries, device, together=queries.photos, waiting=queries.waiting)
        self._lanes = {turn: EncoderLane(self._shared, turn) for turn in (Priority.LIVE, Priority.BACKFILL)}

    @property
    def forwards(self) -> int:
        return self._shared.forwards

    @property
    def forward_seconds(self) -> float:
        return self._shared.seconds

    @property
    def encoded(self) -> int:
        return self._shared.encoded

    @property
    def cache_hits(self) -> int:
        """The photos whose pixels the model had seen on another product or under another URL, and did not see again."""
        return self._shared.cache.hits

    @property
    def runs(self) -> str:
        """What runs the model, in a few words for people."""
        return self._model.runs

    @property
    def space(self) -> Space:
        return self._model.space

    @property
    def uncased(self) -> bool:
        """Whether the model takes upper and lower case for the same."""
        return reads_no_case(self._model)

    def lane(self, turn: Priority) -> EncoderLane:
        """The way of LIVE or of BACKFILL work to the encoder; each is to have one user."""
        return self._lanes[turn]

    async def start(self) -> None:
        """Run the model once, so that the first to ask does not wait for what torch does on its first forward."""
        from PIL import Image

        side = self._model.photo_side
        warm = [self._model.prepare("warm", Image.new("RGB", (side, side))), self._model.prepare("up", None)]
        await self._shared.device.run(
            lambda: run_splitting_on_oom(lambda some: [self._model.forward_items(some)], warm), turn=Priority.LIVE
        )

    async def aclose(self) -> None:
        """Let what runs finish and end the threads."""
        await asyncio.to_thread(self._shared.decoding.close)
        await asyncio.to_thread(self._shared.device.close)

    async def __aenter__(self) -> EncoderService:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def prepare(self, items: Sequence[Content]) -> Sequence[PreparedItem]:
        """As the live lane."""
        return await self.lane(Priority.LIVE).prepare(items)

    async def encode(self, prepared: Sequence[PreparedItem]) -> Sequence[EncodedItem | None]:
        """As the live lane."""
        return await self.lane(Priority.LIVE).encode(prepared)

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        """One fused vector (dim,) of a text, an image or both; queries of one moment share a forward.

        Raises ImageProblem for bytes that are no image, InvalidInput for a query of nothing and for one that the model
        makes nothing of, Unavailable when too many wait.
        """
        if image is not None:
            inputs = await self._shared.decoding.run(lambda: self._shared.read(text or "", image), turn=Priority.QUERY)
            return await self._photos.vector(lambda: inputs)
        if not (text and text.strip()):
            raise InvalidInput("A query needs a text or an image: give at least one of them.")
        # Words are tokenized by the thread that encodes them: that takes less than to hand them to another first.
        return await self._words.vector(lambda: self._shared.read(text, None))

    def _queries(self, batch: Sequence[Inputs]) -> list[Vector]:
        return run_splitting_on_oom(lambda some: list(to_vectors(self._model.forward_queries(some))), batch)
