"""Whether hits that were found without a filter pass it: known of most of them from queries before.

Judging every point by a filter takes as long as comparing every vector. Where nearly all points pass, it is cheaper to
look for the best of all and to judge those. If they all pass they are what a search with the filter finds; if one does
not, that search is made after all. A verdict is remembered by a point's version, which every change of it raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qdrant_edge as edge
from qdrant_client import grpc as pb

from embedded.engine.codec.filters import to_filter

# Hits judged at most: so many cost as much as every point.
_MOST_HITS = 2000
# Points remembered for a filter, some 150 bytes each, and filters.
_MOST_POINTS = 200_000
_MOST_FILTERS = 4
# Queries that judge every point, once a hit failed.
_CAUTION = 100


def verdict_condition(request: pb.QueryPoints) -> bool:
    """Whether the filter of a query is one that most points may be expected to pass: that a field is true or false."""
    asked = request.filter
    nearest = request.query.nearest.WhichOneof("variant") in ("dense", "sparse", "document")
    few = request.limit <= _MOST_HITS and not request.offset
    lone = len(asked.must) == 1 and not (asked.should or asked.must_not or asked.HasField("min_should"))
    return nearest and few and lone and asked.must[0].field.match.WhichOneof("match_value") == "boolean"


class FilterVerdicts:
    """The verdicts on the points of one collection. Several threads may ask at once."""

    def __init__(self) -> None:
        self._passed: dict[bytes, dict[int, int]] = {}
        self._caution: dict[bytes, int] = {}

    def trusts(self, where: pb.Filter) -> bool:
        """Whether all hits may be expected to pass a filter, because none failed it lately."""
        filter_ = where.SerializeToString()
        if left := self._caution.pop(filter_, 0):
            self._caution[filter_] = left - 1
        return not left

    def all_pass(
        self, shard: edge.EdgeShard, where: pb.Filter, ids: Sequence[Any], keys: Sequence[int], versions: list[int]
    ) -> bool:
        """Whether these points pass a filter, in these versions or newer ones. `keys` stand for the ids."""
        filter_ = where.SerializeToString()
        if filter_ not in self._passed and len(self._passed) >= _MOST_FILTERS:
            self._passed.clear()
            self._caution.clear()
        passed = self._passed.setdefault(filter_, {})
        known = list(map(passed.get, keys))
        if known == versions:
            return True
        new = [n for n, (one, version) in enumerate(zip(known, versions, strict=True)) if one != version]
        these = edge.Filter(must=[edge.HasIdCondition({ids[n] for n in new}), to_filter(where)])
        asked = edge.ScrollRequest(limit=len(new), filter=these, with_payload=False, with_vector=False)
        if len(shard.scroll(asked)[0]) < len(new):
            self._caution[filter_] = _CAUTION
            return False
        if len(passed) + len(new) > _MOST_POINTS:
            passed.clear()
        passed.update((keys[n], versions[n]) for n in new)
        return True
