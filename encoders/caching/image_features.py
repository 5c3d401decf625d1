"""Caches the model's output for photos, so that a photo that comes again does not pass the model again.

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
    """At most `entries` are kept, and at most `max_bytes` of arrays. With 0 entries nothing is kept."""

    entries: int = 4096
    max_bytes: int = 64 * 1024 * 1024


class ImageFeatureCache:
    """Encodes items with a cache: of the image tower's features, or of whole results if the model has no such tower.

    `hits` counts the photos that skipped the model. If several threads call at once, it is approximate.
    """

    def __init__(self, model: Model, policy: FeatureCachePolicy) -> None:
        self._model = model
        self._features: LruCache[str, Features] = LruCache(entries=policy.entries, max_bytes=policy.max_bytes)
        self._results: LruCache[tuple[tuple[int, ...], str], dict[str, Vector]] = LruCache(
            entries=policy.entries, max_bytes=policy.max_bytes
        )
        self.hits = 0

    def items(self, batch: Sequence[Inputs]) -> list[dict[str, Vector] | None]:
        """The vectors of each item; None if one of them is not finite. A photo without a digest is not cached."""
        if isinstance(self._model, SplitModel):
            return self._with_features(self._model, batch)
        return self._with_results(batch)

    def _with_features(self, model: SplitModel, batch: Sequence[Inputs]) -> list[dict[str, Vector] | None]:
        photos = {inputs.digest: inputs for inputs in batch if inputs.digest}
        features = {digest: cached for digest in photos if (cached := self._features.get(digest)) is not None}
        uncached = [inputs for digest, inputs in photos.items() if digest not in features]
        if uncached:
            for inputs, row in zip(uncached, model.forward_photos(uncached), strict=True):
                # A copy: a row would keep the memory of the whole batch.
                features[inputs.digest] = own = row.copy()
                if np.isfinite(own).all():
                    self._features.put(inputs.digest, own, own.nbytes)
        batch = [replace(inputs, features=features.get(inputs.digest)) for inputs in batch]
        vectors = finish_items(model.forward_items(batch), batch)
        self.hits += sum(bool(inputs.digest) for inputs in batch) - len(uncached)
        return vectors

    def _with_results(self, batch: Sequence[Inputs]) -> list[dict[str, Vector] | None]:
        keys = [(inputs.tokens, inputs.digest) for inputs in batch]
        results = [self._results.get(key) if key[1] else None for key in keys]
        uncached = [i for i, result in enumerate(results) if result is None]
        if uncached:
            inputs = [batch[i] for i in uncached]
            for i, vectors in zip(uncached, finish_items(self._model.forward_items(inputs), inputs), strict=True):
                results[i] = vectors
                if vectors is not None and keys[i][1]:
                    own = {name: vector.copy() for name, vector in vectors.items()}
                    self._results.put(keys[i], own, sum(vector.nbytes for vector in own.values()))
        self.hits += len(batch) - len(uncached)
        return results


def photo_digest(pixels: NDArray[np.generic]) -> str:
    """32 hex digits, the same for equal pixels of equal shape and dtype."""
    digest = blake2b(repr((pixels.shape, pixels.dtype.str)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
