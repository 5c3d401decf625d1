"""The catalogue's encoder ports over any model: photos fetched and decoded beside, forwards in the one torch thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from catalog.errors import ImageProblem, Misuse
from catalog.ports import Encoded, ImageSource, Prepared, Vector
from catalog.product import Content, ImageState
from catalog.space import Space
from encoders.cache import CachePolicy, PhotoCache, photo_digest
from encoders.images import ImagePolicy, decode
from encoders.model import Inputs, Model, to_vectors
from encoders.placeholders import PlaceholderPolicy, Placeholders
from encoders.thread import DeviceThread, Turn, in_halves

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class EncodePolicy:
    """How many at once: items in a forward, photos being fetched, threads decoding, calls waiting for the device.

    `cache` bounds what is remembered of photos that were encoded; `placeholders` says what is no photo of a product.
    """

    batch: int = 32
    fetches: int = 16
    decoders: int = 2
    waiting: int = 256
    photos: ImagePolicy = field(default_factory=ImagePolicy)
    cache: CachePolicy = field(default_factory=CachePolicy)
    placeholders: PlaceholderPolicy = field(default_factory=PlaceholderPolicy)


class EncoderService:
    """An ItemEncoder and a QueryEncoder. Of an item's images the first that can be had is encoded, and no other.

    `forwards` counts the batches that went through the model, `encoded` the items that came out with vectors.
    """

    def __init__(self, model: Model, images: ImageSource, policy: EncodePolicy | None = None) -> None:
        self._model = model
        self._images = images
        self._policy = policy or EncodePolicy()
        self._fetching = asyncio.Semaphore(self._policy.fetches)
        self._pool = ThreadPoolExecutor(self._policy.decoders, thread_name_prefix="decode")
        self._device = DeviceThread(waiting=self._policy.waiting)
        self._cache = PhotoCache(model, self._policy.cache)
        self._placeholders = Placeholders(self._policy.placeholders)
        self.forwards = 0
        self.encoded = 0

    @property
    def cache_hits(self) -> int:
        """The photos whose pixels the model had seen on another product or under another URL, and did not see again."""
        return self._cache.hits

    @property
    def space(self) -> Space:
        return self._model.space

    async def start(self) -> None:
        """Run the model once, so that the first to ask does not wait for what torch does on its first forward."""
        from PIL import Image

        side = self._model.photo_side
        warm = [self._model.prepare("warm", Image.new("RGB", (side, side))), self._model.prepare("up", None)]
        await self._device.run(lambda: self._model.forward_items(warm), turn=Turn.ITEMS)

    async def aclose(self) -> None:
        """Let what runs finish and end the threads."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        await asyncio.to_thread(self._device.close)

    async def __aenter__(self) -> EncoderService:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def prepare(self, items: Sequence[Content]) -> Sequence[Prepared]:
        """Photos fetched and decoded, titles tokenized, in order."""
        return await asyncio.gather(*(self._prepare(item) for item in items))

    async def encode(self, prepared: Sequence[Prepared]) -> Sequence[Encoded | None]:
        """The vectors of each, in order; None where one of them is not finite.

        Raises Unavailable when too many calls wait for the device, Hopeless when it is lost.
        """
        out: list[Encoded | None] = []
        for start in range(0, len(prepared), self._policy.batch):
            some = prepared[start : start + self._policy.batch]
            inputs = [_inputs(item) for item in some]
            # A call of its own for each batch: a query gets its turn between two.
            found = await self._device.run(lambda i=inputs: in_halves(self._items, i), turn=Turn.ITEMS)  # type: ignore[misc]
            for item, vectors in zip(some, found, strict=True):
                state, reason = item.image_state, item.image_reason
                out.append(None if vectors is None else Encoded(vectors, state, reason))
        self.encoded += sum(one is not None for one in out)
        return out

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        """One fused vector (dim,) of a text, an image or both.

        Raises ImageProblem for bytes that are no image, Misuse for a query of nothing, Unavailable when too many wait.
        """
        if not (text and text.strip()) and image is None:
            raise Misuse("A query needs a text or an image: give at least one of them.")
        inputs = await asyncio.get_running_loop().run_in_executor(self._pool, self._read, text or "", image)
        (vector,) = await self._device.run(lambda: in_halves(self._queries, [inputs]), turn=Turn.QUERY)
        return vector

    async def _prepare(self, item: Content) -> Prepared:
        problem = ImageProblem(ImageState.NONE, "")
        loop = asyncio.get_running_loop()
        for url in item.images:
            try:
                async with self._fetching:
                    data = await self._images.fetch(url)
                    inputs = await loop.run_in_executor(self._pool, self._read_item, item.title, data)
                if inputs.digest:
                    self._placeholders.check(inputs.digest, item.title)
                return Prepared(ImageState.OK, "", inputs)
            except ImageProblem as err:
                problem = _worth_telling(problem, err)
        inputs = await loop.run_in_executor(self._pool, self._read, item.title, None)
        return Prepared(problem.state, problem.reason, inputs)

    def _read(self, text: str, data: bytes | None) -> Inputs:
        photo: Image | None = None
        if data is not None:
            photo = decode(data, self._policy.photos, target=self._model.photo_side)
        return self._model.prepare(text, photo)

    def _read_item(self, text: str, data: bytes) -> Inputs:
        inputs = self._read(text, data)
        return inputs if inputs.pixels is None else replace(inputs, digest=photo_digest(inputs.pixels))

    def _items(self, batch: Sequence[Inputs]) -> list[dict[str, Vector] | None]:
        found = self._cache.items(batch)
        self.forwards += 1
        return found

    def _queries(self, batch: Sequence[Inputs]) -> list[Vector]:
        return list(to_vectors(self._model.forward_queries(batch)))


def _inputs(item: Prepared) -> Inputs:
    if not isinstance(item.inputs, Inputs):
        raise Misuse("What is to be encoded was not prepared by this encoder: call its prepare first.")
    return item.inputs


def _worth_telling(first: ImageProblem, other: ImageProblem) -> ImageProblem:
    """Of two problems the one that can heal, so that the repair lane tries again; otherwise the first."""
    if first.state is ImageState.NONE or (other.state is ImageState.UNAVAILABLE and first.state is not other.state):
        return other
    return first
