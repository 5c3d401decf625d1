"""A limit on the share of rejected records, above which the cause is a bad deploy rather than bad records."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from catalog.domain.record import Reject
from catalog.errors import FatalError

BUCKETS = 60
KINDS = 64


@dataclass(frozen=True, slots=True)
class RejectLimit:
    """The worker stops if it rejects more than `max_share` of the records of the last `window_s` seconds.

    Fewer than `min_count` rejects never stop it, so that a few bad records after a start, or in a quiet hour, do no
    harm. A worker that restarts in a loop may reject that many each time. A `max_share` of 1 never stops it.
    """

    max_share: float = 0.5
    min_count: int = 100
    window_s: float = 60.0


@dataclass(slots=True)
class _Bucket:
    start: float
    records: int = 0
    rejected: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)


class RejectMeter:
    """Counts rejects over a sliding window of at most BUCKETS + 1 buckets. All lanes of a worker share one meter."""

    def __init__(self, limit: RejectLimit, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._limit = limit
        self._clock = clock
        self._buckets: deque[_Bucket] = deque()

    def count(self, records: int, rejects: Sequence[Reject]) -> None:
        """Add a batch: its number of records, and its rejects."""
        bucket = self._bucket()
        bucket.records += records
        bucket.rejected += len(rejects)
        for reject in rejects:
            kind = f"{reject.stage.value} {reject.reason.partition(':')[0]}"
            if kind in bucket.kinds or len(bucket.kinds) < KINDS:
                bucket.kinds[kind] += 1
                bucket.examples.setdefault(kind, f"{reject.reason} (stage {reject.stage.value})")

    def check(self) -> None:
        """Raises FatalError if the share of rejects is above the limit."""
        self._bucket()
        records = sum(bucket.records for bucket in self._buckets)
        rejected = sum(bucket.rejected for bucket in self._buckets)
        if rejected < self._limit.min_count or rejected <= self._limit.max_share * records:
            return
        raise FatalError(
            f"{rejected} of the last {records} records were rejected, most often because of: {self._most_frequent()}. "
            "The worker stops so that the rest of the topic does not go to quarantine. Correct the events, or run the "
            "version of the worker that could read them, and start it again. To reject them all, set "
            "LIVESHELF_REJECT_MAX_SHARE=1."
        )

    def _bucket(self) -> _Bucket:
        """The current bucket. Drops the buckets that have left the window."""
        now = self._clock()
        while self._buckets and self._buckets[0].start <= now - self._limit.window_s:
            self._buckets.popleft()
        if not self._buckets or now - self._buckets[-1].start >= self._limit.window_s / BUCKETS:
            self._buckets.append(_Bucket(now))
        return self._buckets[-1]

    def _most_frequent(self) -> str:
        """An example of the most frequent kind of reason: reasons of one kind agree up to the first colon."""
        kinds: Counter[str] = Counter()
        examples: dict[str, str] = {}
        for bucket in self._buckets:
            kinds.update(bucket.kinds)
            examples = bucket.examples | examples
        ((kind, _),) = kinds.most_common(1)
        return examples[kind]
