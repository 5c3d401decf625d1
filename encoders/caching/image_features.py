"""What is remembered of photos, so that one that comes again does not go through the model again.

Shops show one photo on many variants of a product, and serve one photo under many URLs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from catalog.ports import Vector
from encoders.caching.lru_cache import LruCache
from encoders.model import Inputs, Model, SplitModel, finish_items

Features = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FeatureCachePolicy:
    """How much is remembered: at most `entries`, and at most `max_bytes` of arrays. No entries: nothing is."""

    entries: int = 4096
    max_bytes: int = 64 * 1024 * 1024


class ImageFeatureCache:
    """A model's item side with a memory: of the image tower's features, or of whole results where it has no such tower.

    `hits` counts the photos that did not go through the model; while several threads ask, it is near the truth.
    """

    def __init__(self, model: Model, policy: FeatureCachePolicy) -> None:
        self._model = model
        self._features: LruCache[str, Features] = LruCache(entries=policy.entries, max_bytes=policy.max_bytes)
        self._results: LruCache[tuple[tuple[int, ...], str], dict[str, Vector]] = LruCache(
            entries=policy.entries, max_bytes=policy.max_bytes
        )
        self.hits = 0

    def items(self, batch: Sequence[Inputs]) -> list[dict[str, Vector] | None]:
        """Each item's vectors, None where one is not finite. A photo without a digest is not remembered."""
        if isinstance(self._model, SplitModel):
            return self._with_features(self._model, batch)
        return self._with_results(batch)

    def _with_features(self, model: SplitModel, batch: Sequence[Inputs]) -> list[dict[str, Vector] | None]:
        photos = {inputs.digest: inputs for inputs in batch if inputs.digest}
        known = {digest: found for digest in photos if (found := self._features.get(digest)) is not None}
        unseen = [inputs for digest, inputs in photos.items() if digest not in known]
        if unseen:
            made = model.forward_photos(unseen)
            for inputs, features in zip(unseen, made, strict=True):
                # A copy, for a row would keep the whole batch in memory.
                known[inputs.digest] = kept = features.copy()
                if np.isfinite(kept).all():
                    self._features.put(inputs.digest, kept, kept.nbytes)
        batch = [replace(inputs, features=known.get(inputs.digest)) for inputs in batch]
        vectors = finish_items(model.forward_items(batch), batch)
        self.hits += sum(bool(inputs.digest) for inputs in batch) - len(unseen)
        return vectors

    def _with_results(self, batch: Sequence[Inputs]) -> list[dict[str, Vector] | None]:
        keys = [(inputs.tokens, inputs.digest) for inputs in batch]
        found = [self._results.get(key) if key[1] else None for key in keys]
        rest = [i for i, one in enumerate(found) if one is None]
        if rest:
            made = [batch[i] for i in rest]
            for i, one in zip(rest, finish_items(self._model.forward_items(made), made), strict=True):
                found[i] = one
                if one is not None and keys[i][1]:
                    own = {name: vector.copy() for name, vector in one.items()}
                    self._results.put(keys[i], own, sum(vector.nbytes for vector in own.values()))
        self.hits += len(batch) - len(rest)
        return found


def photo_digest(pixels: NDArray[np.generic]) -> str:
    """Equal for equal pixels as a model reads them: 32 hex digits."""
    whole = blake2b(repr((pixels.shape, pixels.dtype.str)).encode(), digest_size=16)
    whole.update(np.ascontiguousarray(pixels).data)
    return whole.hexdigest()
