"""One lane's way to the encoder: its photos fetched and decoded beside, its forwards at its turn."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from catalog.domain.image_state import ImageState
from catalog.domain.product import Content
from catalog.domain.space import Space
from catalog.errors import ImageProblem, InvalidInput
from catalog.ports import EncodedItem, ImageSource, PreparedItem
from encoders.batching.batch_size import ForwardSize
from encoders.batching.decode_batcher import DecodeBatcher
from encoders.batching.executor import Priority, PriorityThreadPool, run_splitting_on_oom
from encoders.batching.item_batcher import ItemBatcher, Made
from encoders.batching.query_batcher import QueryBatchPolicy
from encoders.caching.image_features import FeatureCachePolicy, ImageFeatureCache, photo_digest
from encoders.caching.placeholders import PlaceholderPolicy, Placeholders
from encoders.images import ImagePolicy, decode
from encoders.model import Inputs, Model

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class EncodePolicy:
    """How many at once: items in a forward, forwards, photos being fetched, threads decoding, calls waiting.

    A forward has as many items as take about `forward_s` seconds, at most `batch`: what comes first then waits no
    longer. `share` is what a back-fill gets of the device's time while the live stream has work for it too. `queries`
    bounds those of one forward. `nice` is how far all this stands back behind other threads and processes, 0 to 19.
    `cache` bounds what is remembered of photos that were encoded; `placeholders` says what is no photo of a product.
    """

    batch: int = 32
    forward_s: float = 0.3
    forwards: int = 1
    fetches: int = 16
    decoders: int = 2
    waiting: int = 256
    nice: int = 0
    share: float = 0.15
    photos: ImagePolicy = field(default_factory=ImagePolicy)
    queries: QueryBatchPolicy = field(default_factory=QueryBatchPolicy)
    cache: FeatureCachePolicy = field(default_factory=FeatureCachePolicy)
    placeholders: PlaceholderPolicy = field(default_factory=PlaceholderPolicy)

    def fetching(self, turn: Priority) -> int:
        """Photos fetched at once; a back-fill leaves some of the turns at the network to the live stream."""
        return max(1, self.fetches * 3 // 4) if turn is Priority.BACKFILL else self.fetches


class EncoderResources:
    """What all lanes have in common.

    `forwards` counts the batches that went through the model, `seconds` what they took, `encoded` the items that came
    out with vectors.
    """

    def __init__(self, model: Model, images: ImageSource, policy: EncodePolicy) -> None:
        self.model = model
        self.images = images
        self.policy = policy
        waiting, share = policy.waiting, policy.share
        stand_back = partial(_stand_back, os.getpriority(os.PRIO_PROCESS, 0) + policy.nice)
        self.decoding = PriorityThreadPool(
            "decode", threads=policy.decoders, waiting=max(waiting, policy.fetches), share=share, begin=stand_back
        )
        self.device = PriorityThreadPool(
            "torch", threads=policy.forwards, waiting=waiting, share=share, begin=partial(_begin, stand_back)
        )
        self.cache = ImageFeatureCache(model, policy.cache)
        self.placeholders = Placeholders(policy.placeholders)
        self.sizes = {photo: ForwardSize(seconds=policy.forward_s, most=policy.batch) for photo in (True, False)}
        self._counting = threading.Lock()
        self.forwards = 0
        self.seconds = 0.0
        self.encoded = 0

    def read(self, text: str, data: bytes | None) -> Inputs:
        """A text and a photo as the model reads them. Raises ImageProblem."""
        photo: Image | None = None
        if data is not None:
            photo = decode(data, self.policy.photos, target=self.model.photo_side)
        return self.model.prepare(text, photo)

    def read_item(self, text: str, data: bytes | None) -> Inputs:
        """The same, with the digest of the photo."""
        inputs = self.read(text, data)
        return inputs if inputs.pixels is None else replace(inputs, digest=photo_digest(inputs.pixels))

    def forward(self, batch: Sequence[Inputs]) -> list[Made]:
        """One forward of items that all have a photo, or all have none. To be called in the device's threads."""
        size = self.sizes[batch[0].pixels is not None]
        started = time.perf_counter()
        found: list[Made] = run_splitting_on_oom(self.cache.items, batch, on_too_large=size.too_large)
        seconds = time.perf_counter() - started
        with self._counting:
            size.took(len(batch), seconds)
            self.forwards += 1
            self.seconds += seconds
            self.encoded += sum(one is not None for one in found)
        return found


class EncoderLane:
    """An ItemEncoder. Of an item's images the first that can be had is encoded, and no other."""

    def __init__(self, shared: EncoderResources, turn: Priority) -> None:
        self._shared = shared
        self._read = DecodeBatcher(shared.read_item, shared.decoding, turn)
        self._fetching = asyncio.Semaphore(shared.policy.fetching(turn))
        self._items = ItemBatcher(shared.forward, shared.device, shared.sizes, turn)

    @property
    def space(self) -> Space:
        return self._shared.model.space

    async def prepare(self, items: Sequence[Content]) -> Sequence[PreparedItem]:
        """Photos fetched and decoded, titles tokenized, in order."""
        return await asyncio.gather(*(self._prepare(item) for item in items))

    async def encode(self, prepared: Sequence[PreparedItem]) -> Sequence[EncodedItem | None]:
        """The vectors of each, in order; None where one of them is not finite.

        Raises Unavailable when too many calls wait for the device, Hopeless when it is lost.
        """
        made = await self._items.encode([_inputs(item) for item in prepared])
        return [
            None if vectors is None else EncodedItem(vectors, item.image_state, item.image_reason)
            for item, vectors in zip(prepared, made, strict=True)
        ]

    async def _prepare(self, item: Content) -> PreparedItem:
        problem = ImageProblem(ImageState.NONE, "")
        async with self._fetching:
            for url in item.images:
                try:
                    data = await self._shared.images.fetch(url)
                    inputs = await self._read(item.title, data)
                    if inputs.digest:
                        self._shared.placeholders.check(inputs.digest, item.title)
                    return PreparedItem(ImageState.OK, "", inputs)
                except ImageProblem as err:
                    problem = _worth_telling(problem, err)
            return PreparedItem(problem.state, problem.reason, await self._read(item.title, None))


def _stand_back(nice: int) -> None:
    # On Linux this is the thread's own: the event loop, which answers the broker and the index, does not stand back.
    os.setpriority(os.PRIO_PROCESS, 0, min(nice, 19))


def _begin(stand_back: Callable[[], None]) -> None:
    stand_back()  # before torch makes threads of its own, which are as nice as the one that made them
    if torch := sys.modules.get("torch"):
        torch.get_num_threads()  # a thread takes over the process's number of threads when it is first asked for it


def _inputs(item: PreparedItem) -> Inputs:
    if not isinstance(item.inputs, Inputs):
        raise InvalidInput("What is to be encoded was not prepared by this encoder: call its prepare first.")
    return item.inputs


_HEALS = {ImageState.NONE: 0, ImageState.MISSING: 2, ImageState.UNAVAILABLE: 3}


def _worth_telling(first: ImageProblem, other: ImageProblem) -> ImageProblem:
    """Of two problems the one that heals sooner, so that the repair lane tries again; otherwise the first."""
    return max(first, other, key=lambda problem: _HEALS.get(problem.state, 1))
