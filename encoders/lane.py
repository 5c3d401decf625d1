"""One lane of an encoder: it fetches photos, prepares items and encodes them at its priority."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from catalog.domain.image_state import ImageState
from catalog.domain.product import Content
from catalog.domain.space import Space
from catalog.errors import ImageProblem, InvalidInput
from catalog.ports import EncodedItem, PreparedItem
from encoders.batching.decode_batcher import DecodeBatcher
from encoders.batching.executor import Priority
from encoders.batching.item_batcher import ItemBatcher
from encoders.model import Inputs
from encoders.resources import EncoderResources


class EncoderLane:
    """An ItemEncoder. Of an item's images it encodes the first that can be fetched and decoded."""

    def __init__(self, resources: EncoderResources, priority: Priority) -> None:
        forward = resources.forward
        self._space = resources.model.space
        self._images = resources.images
        self._placeholders = resources.placeholders
        self._fetch_slots = asyncio.Semaphore(resources.policy.concurrent_fetches(priority))
        self._read = DecodeBatcher(resources.reader.read_item, resources.decoding, priority)
        self._items = ItemBatcher(forward, resources.device, forward.sizes, priority)

    @property
    def space(self) -> Space:
        return self._space

    async def prepare(self, items: Sequence[Content]) -> Sequence[PreparedItem]:
        """Fetch and decode the photos, tokenize the titles; in order."""
        return await asyncio.gather(*(self._prepare(item) for item in items))

    async def encode(self, prepared: Sequence[PreparedItem]) -> Sequence[EncodedItem | None]:
        """The vectors of each item, in order; None if one of them is not finite.

        Raises Unavailable if too many calls wait for the device, FatalError if the device is lost.
        """
        vectors = await self._items.encode([_inputs(item) for item in prepared])
        return [
            None if item_vectors is None else EncodedItem(item_vectors, item.image_state, item.image_reason)
            for item, item_vectors in zip(prepared, vectors, strict=True)
        ]

    async def _prepare(self, item: Content) -> PreparedItem:
        problem = ImageProblem(ImageState.NONE, "")
        async with self._fetch_slots:
            for url in item.images:
                try:
                    data = await self._images.fetch(url)
                    inputs = await self._read(item.title, data)
                    if inputs.digest:
                        self._placeholders.check(inputs.digest, item.title)
                    return PreparedItem(ImageState.OK, "", inputs)
                except ImageProblem as err:
                    problem = _most_likely_to_heal(problem, err)
            return PreparedItem(problem.state, problem.reason, await self._read(item.title, None))


def _inputs(item: PreparedItem) -> Inputs:
    if not isinstance(item.inputs, Inputs):
        raise InvalidInput("The item was not prepared by this encoder: call its prepare first.")
    return item.inputs


_HEALING = {ImageState.NONE: 0, ImageState.MISSING: 2, ImageState.UNAVAILABLE: 3}


def _most_likely_to_heal(first: ImageProblem, second: ImageProblem) -> ImageProblem:
    """The problem that heals sooner, so that the photo is retried; otherwise the first."""
    return max(first, second, key=lambda problem: _HEALING.get(problem.state, 1))
