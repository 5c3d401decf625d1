"""Post-filtering: whether hits of a search without the filter pass it, known for most points from earlier queries.

Applying a filter to every point takes as long as comparing every vector. If nearly all points pass, it is cheaper to
search without the filter and to apply it to the hits. If all hits pass, they are the result of a search with the
filter; otherwise that search is made. A verdict is cached by the point's version, which every change of it raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.codec.filters import to_filter

# Above this number of hits, checking them costs as much as checking every point.
_MAX_HITS = 2000
# Bounds of cached points for a filter, some 150 bytes each, and of filters.
_MAX_POINTS = 200_000
_MAX_FILTERS = 4
# After a hit failed, so many queries apply the filter to every point.
_PAUSE = 100


def verdict_condition(request: pb.QueryPoints) -> bool:
    """Whether most points are likely to pass the filter of a query: a single condition on a true-or-false field."""
    condition = request.filter
    nearest = request.query.nearest.WhichOneof("variant") in ("dense", "sparse", "document")
    few = request.limit <= _MAX_HITS and not request.offset
    single = len(condition.must) == 1 and not (
        condition.should or condition.must_not or condition.HasField("min_should")
    )
    return nearest and few and single and condition.must[0].field.match.WhichOneof("match_value") == "boolean"


class FilterVerdicts:
    """The cached verdicts on the points of one collection. Several threads may use it at once."""

    def __init__(self) -> None:
        self._passed: dict[bytes, dict[int, int]] = {}
        self._pauses: dict[bytes, int] = {}

    def expects_pass(self, condition: pb.Filter) -> bool:
        """Whether all hits are likely to pass a filter, because none failed it in recent queries."""
        filter_ = condition.SerializeToString()
        if remaining := self._pauses.pop(filter_, 0):
            self._pauses[filter_] = remaining - 1
        return not remaining

    def all_pass(
        self, shard: edge.EdgeShard, condition: pb.Filter, ids: Sequence[Any], keys: Sequence[int], versions: list[int]
    ) -> bool:
        """Whether these points pass a filter, in these versions or newer ones. `keys` are `keys_of` the ids."""
        filter_ = condition.SerializeToString()
        if filter_ not in self._passed and len(self._passed) >= _MAX_FILTERS:
            self._passed.clear()
            self._pauses.clear()
        passed = self._passed.setdefault(filter_, {})
        cached = list(map(passed.get, keys))
        if cached == versions:
            return True
        new = [n for n, (known, version) in enumerate(zip(cached, versions, strict=True)) if known != version]
        both = edge.Filter(must=[edge.HasIdCondition({ids[n] for n in new}), to_filter(condition)])
        request = edge.ScrollRequest(limit=len(new), filter=both, with_payload=False, with_vector=False)
        if len(shard.scroll(request)[0]) < len(new):
            self._pauses[filter_] = _PAUSE
            return False
        if len(passed) + len(new) > _MAX_POINTS:
            passed.clear()
        passed.update((keys[n], versions[n]) for n in new)
        return True
