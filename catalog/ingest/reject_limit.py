"""When so much is refused that the fault lies with a deploy and not with the records."""

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
    """Refusing more than `share` of the records of the last `window_s` seconds is too much, from `least` refusals on.

    `least` is there so that a few bad records after a start, or in a quiet hour, stop nothing; it is also what a worker
    that is started again and again may refuse each time. A `share` of 1 never stops.
    """

    share: float = 0.5
    least: int = 100
    window_s: float = 60.0


@dataclass(slots=True)
class _Bucket:
    since: float
    records: int = 0
    refused: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    said: dict[str, str] = field(default_factory=dict)


class RejectMeter:
    """Counts over a sliding window, in at most BUCKETS + 1 parts; one meter serves all lanes of a worker."""

    def __init__(self, limit: RejectLimit, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._limit = limit
        self._clock = clock
        self._buckets: deque[_Bucket] = deque()

    def count(self, records: int, rejects: Sequence[Reject]) -> None:
        """Adds a batch: how many records it had, and those of them that are refused."""
        bucket = self._bucket()
        bucket.records += records
        bucket.refused += len(rejects)
        for reject in rejects:
            kind = f"{reject.stage.value} {reject.reason.partition(':')[0]}"
            if kind in bucket.kinds or len(bucket.kinds) < KINDS:
                bucket.kinds[kind] += 1
                bucket.said.setdefault(kind, f"{reject.reason} (stage {reject.stage.value})")

    def check(self) -> None:
        """Raises FatalError when more is refused than the limit allows."""
        self._bucket()
        records = sum(bucket.records for bucket in self._buckets)
        refused = sum(bucket.refused for bucket in self._buckets)
        if refused < self._limit.least or refused <= self._limit.share * records:
            return
        raise FatalError(
            f"{refused} of the last {records} records were refused, most often because of: {self._most_frequent()}. "
            "The worker stops before the rest of the topic goes to quarantine: correct the events or go back to the "
            "version of the worker that could read them, then start it again; if they are to be refused, set "
            "LIVESHELF_REJECT_MAX_SHARE=1."
        )

    def _bucket(self) -> _Bucket:
        """The bucket of now; those that have left the window are forgotten."""
        now = self._clock()
        while self._buckets and self._buckets[0].since <= now - self._limit.window_s:
            self._buckets.popleft()
        if not self._buckets or now - self._buckets[-1].since >= self._limit.window_s / BUCKETS:
            self._buckets.append(_Bucket(now))
        return self._buckets[-1]

    def _most_frequent(self) -> str:
        """Reasons name values; what they say before the first colon is the same for records that fail alike."""
        kinds: Counter[str] = Counter()
        said: dict[str, str] = {}
        for bucket in self._buckets:
            kinds.update(bucket.kinds)
            said = bucket.said | said
        ((kind, _),) = kinds.most_common(1)
        return said[kind]
