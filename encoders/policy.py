"""The limits of an encoder."""

from __future__ import annotations

from dataclasses import dataclass, field

from encoders.batching.executor import Priority
from encoders.batching.query_batcher import QueryBatchPolicy
from encoders.caching.image_features import FeatureCachePolicy
from encoders.caching.placeholders import PlaceholderPolicy
from encoders.images import ImagePolicy


@dataclass(frozen=True, slots=True)
class EncodePolicy:
    """How much runs at once.

    - A forward pass has as many items as take about `forward_s` seconds, at most `batch`. So a new item does not wait
      longer for the pass that runs. `forwards` passes run at once, and `queries` bounds those of queries.
    - `fetches` photos are fetched at once by each lane, and `decoders` threads decode them.
    - `waiting` calls of each priority wait at most.
    - `nice` lowers the priority of the encoder's threads against other threads and processes, 0 to 19.
    - `share` is the part of the device's time that back-fill gets while live work waits too.
    - `cache` bounds the features kept of encoded photos. `placeholders` recognises pictures that show no product.
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

    def concurrent_fetches(self, priority: Priority) -> int:
        """Photos that a lane fetches at once; back-fill leaves part of the network to the live lane."""
        return max(1, self.fetches * 3 // 4) if priority is Priority.BACKFILL else self.fetches
