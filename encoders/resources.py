"""What the lanes and the queries of one encoder share: its threads, its forward passes and its caches."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from catalog.ports import ImageSource
from encoders.batching.batch_size import ForwardSize
from encoders.batching.executor import PriorityThreadPool
from encoders.batching.item_batcher import ItemVectors
from encoders.batching.oom_split import run_splitting_on_oom
from encoders.caching.image_features import ImageFeatureCache, photo_digest
from encoders.caching.placeholders import Placeholders
from encoders.images import ImagePolicy, decode
from encoders.model import Inputs, Model
from encoders.policy import EncodePolicy

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class EncoderResources:
    """The parts that `EncoderService` and its lanes share. `decoding` and `device` are thread pools."""

    model: Model
    images: ImageSource
    policy: EncodePolicy
    reader: InputReader
    decoding: PriorityThreadPool
    device: PriorityThreadPool
    forward: ItemForward
    placeholders: Placeholders

    @staticmethod
    def create(model: Model, images: ImageSource, policy: EncodePolicy) -> EncoderResources:
        lower_priority = partial(_set_niceness, os.getpriority(os.PRIO_PROCESS, 0) + policy.nice)
        return EncoderResources(
            model=model,
            images=images,
            policy=policy,
            reader=InputReader(model, policy.photos),
            decoding=PriorityThreadPool(
                "decode",
                threads=policy.decoders,
                waiting=max(policy.waiting, policy.fetches),
                share=policy.share,
                begin=lower_priority,
            ),
            device=PriorityThreadPool(
                "torch",
                threads=policy.forwards,
                waiting=policy.waiting,
                share=policy.share,
                begin=partial(_begin_device_thread, lower_priority),
            ),
            forward=ItemForward(model, policy),
            placeholders=Placeholders(policy.placeholders),
        )


class InputReader:
    """Turns texts and photos into model inputs. Any thread may use it."""

    def __init__(self, model: Model, policy: ImagePolicy) -> None:
        self._model = model
        self._policy = policy

    def read(self, text: str, data: bytes | None) -> Inputs:
        """A text and the bytes of a photo, if any, as model inputs. Raises ImageProblem."""
        photo: Image | None = None
        if data is not None:
            photo = decode(data, self._policy, target=self._model.photo_side)
        return self._model.prepare(text, photo)

    def read_item(self, text: str, data: bytes | None) -> Inputs:
        """`read`, with the digest of the photo."""
        inputs = self.read(text, data)
        return inputs if inputs.pixels is None else replace(inputs, digest=photo_digest(inputs.pixels))


class ItemForward:
    """Forward passes of items, with a cache of image features and counters of the passes.

    `count` is the number of forward passes, `seconds` their total time, `encoded` the number of items with vectors.
    """

    def __init__(self, model: Model, policy: EncodePolicy) -> None:
        self.cache = ImageFeatureCache(model, policy.cache)
        self.sizes: Mapping[bool, ForwardSize] = {
            has_photo: ForwardSize(seconds=policy.forward_s, max_items=policy.batch) for has_photo in (True, False)
        }
        self._lock = threading.Lock()
        self.count = 0
        self.seconds = 0.0
        self.encoded = 0

    def __call__(self, batch: Sequence[Inputs]) -> list[ItemVectors]:
        """One forward pass of items that all have a photo, or all have none. Called in the device's threads."""
        size = self.sizes[batch[0].pixels is not None]
        started = time.perf_counter()
        vectors: list[ItemVectors] = run_splitting_on_oom(self.cache.items, batch, on_too_large=size.too_large)
        seconds = time.perf_counter() - started
        with self._lock:
            size.took(len(batch), seconds)
            self.count += 1
            self.seconds += seconds
            self.encoded += sum(item is not None for item in vectors)
        return vectors


def _set_niceness(nice: int) -> None:
    # On Linux this is the thread's own: the event loop, which serves the broker and the index, keeps its priority.
    os.setpriority(os.PRIO_PROCESS, 0, min(nice, 19))


def _begin_device_thread(lower_priority: Callable[[], None]) -> None:
    lower_priority()  # before torch creates threads of its own, which inherit the niceness
    if torch := sys.modules.get("torch"):
        torch.get_num_threads()  # the first call makes the thread adopt the process's number of threads
