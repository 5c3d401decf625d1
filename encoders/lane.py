"""One lane's way to the encoder: its photos fetched and decoded beside, its forwards at its turn."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from catalog.errors import ImageProblem, Misuse
from catalog.ports import Encoded, ImageSource, Prepared, Vector
from catalog.product import Content, ImageState
from catalog.space import Space
from encoders.cache import CachePolicy, PhotoCache, photo_digest
from encoders.gather import GatherPolicy
from encoders.images import ImagePolicy, decode
from encoders.model import Inputs, Model
from encoders.placeholders import PlaceholderPolicy, Placeholders
from encoders.sizes import ForwardSize, alike
from encoders.thread import Threads, Turn, in_halves

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
    queries: GatherPolicy = field(default_factory=GatherPolicy)
    cache: CachePolicy = field(default_factory=CachePolicy)
    placeholders: PlaceholderPolicy = field(default_factory=PlaceholderPolicy)

    def fetching(self, turn: Turn) -> int:
        """Photos fetched at once; a back-fill leaves some of the turns at the network to the live stream."""
        return max(1, self.fetches * 3 // 4) if turn is Turn.BACKFILL else self.fetches


class Shared:
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
        self.decoding = Threads(
            "decode", threads=policy.decoders, waiting=max(waiting, policy.fetches), share=share, begin=stand_back
        )
        self.device = Threads(
            "torch", threads=policy.forwards, waiting=waiting, share=share, begin=partial(_begin, stand_back)
        )
        self.cache = PhotoCache(model, policy.cache)
        self.placeholders = Placeholders(policy.placeholders)
        self.sizes = {photo: ForwardSize(seconds=policy.forward_s, most=policy.batch) for photo in (True, False)}
        self.forwards = 0
        self.seconds = 0.0
        self.encoded = 0

    def read(self, text: str, data: bytes | None) -> Inputs:
        """A text and a photo as the model reads them. Raises ImageProblem."""
        photo: Image | None = None
        if data is not None:
            photo = decode(data, self.policy.photos, target=self.model.photo_side)
        return self.model.prepare(text, photo)

    async def forward(self, batch: Sequence[Inputs], turn: Turn) -> list[dict[str, Vector] | None]:
        """One forward of items that all have a photo, or all have none."""
        size = self.sizes[batch[0].pixels is not None]

        def run() -> tuple[list[dict[str, Vector] | None], float]:
            started = time.perf_counter()
            found = in_halves(self.cache.items, batch, on_too_large=size.too_large)
            return found, time.perf_counter() - started

        found, seconds = await self.device.run(run, turn=turn)
        size.took(len(batch), seconds)
        self.forwards += 1
        self.seconds += seconds
        self.encoded += sum(one is not None for one in found)
        return found


class Lane:
    """An ItemEncoder. Of an item's images the first that can be had is encoded, and no other."""

    def __init__(self, shared: Shared, turn: Turn) -> None:
        self._shared = shared
        self._turn = turn
        self._fetching = asyncio.Semaphore(shared.policy.fetching(turn))
        # One more than can run, so that no thread waits for the event loop. First come, first served: the batch that
        # came first gets all threads.
        self._forwards = asyncio.Semaphore(shared.policy.forwards + 1)

    @property
    def space(self) -> Space:
        return self._shared.model.space

    async def prepare(self, items: Sequence[Content]) -> Sequence[Prepared]:
        """Photos fetched and decoded, titles tokenized, in order."""
        return await asyncio.gather(*(self._prepare(item) for item in items))

    async def encode(self, prepared: Sequence[Prepared]) -> Sequence[Encoded | None]:
        """The vectors of each, in order; None where one of them is not finite.

        Raises Unavailable when too many calls wait for the device, Hopeless when it is lost.
        """
        inputs = [_inputs(item) for item in prepared]
        groups = alike(inputs, self._shared.sizes)
        made = await asyncio.gather(*(self._forward([inputs[i] for i in group]) for group in groups))
        out: list[Encoded | None] = [None] * len(prepared)
        for group, found in zip(groups, made, strict=True):
            for i, vectors in zip(group, found, strict=True):
                if vectors is not None:
                    out[i] = Encoded(vectors, prepared[i].image_state, prepared[i].image_reason)
        return out

    async def _forward(self, batch: Sequence[Inputs]) -> list[dict[str, Vector] | None]:
        async with self._forwards:
            return await self._shared.forward(batch, self._turn)

    async def _prepare(self, item: Content) -> Prepared:
        problem = ImageProblem(ImageState.NONE, "")
        async with self._fetching:
            for url in item.images:
                try:
                    data = await self._shared.images.fetch(url)
                    inputs = await self._read(item.title, data)
                    if inputs.digest:
                        self._shared.placeholders.check(inputs.digest, item.title)
                    return Prepared(ImageState.OK, "", inputs)
                except ImageProblem as err:
                    problem = _worth_telling(problem, err)
            return Prepared(problem.state, problem.reason, await self._read(item.title, None))

    async def _read(self, text: str, data: bytes | None) -> Inputs:
        def read() -> Inputs:
            inputs = self._shared.read(text, data)
            return inputs if inputs.pixels is None else replace(inputs, digest=photo_digest(inputs.pixels))

        return await self._shared.decoding.run(read, turn=self._turn)


def _stand_back(nice: int) -> None:
    # On Linux this is the thread's own: the event loop, which answers the broker and the index, does not stand back.
    os.setpriority(os.PRIO_PROCESS, 0, min(nice, 19))


def _begin(stand_back: Callable[[], None]) -> None:
    import torch

    stand_back()  # before torch makes threads of its own, which are as nice as the one that made them
    torch.get_num_threads()  # a thread takes over the process's number of threads when it is first asked for it


def _inputs(item: Prepared) -> Inputs:
    if not isinstance(item.inputs, Inputs):
        raise Misuse("What is to be encoded was not prepared by this encoder: call its prepare first.")
    return item.inputs


def _worth_telling(first: ImageProblem, other: ImageProblem) -> ImageProblem:
    """Of two problems the one that can heal, so that the repair lane tries again; otherwise the first."""
    if first.state is ImageState.NONE or (other.state is ImageState.UNAVAILABLE and first.state is not other.state):
        return other
    return first
