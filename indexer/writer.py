"""The write side of the live collection."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

from qdrant_client import AsyncQdrantClient, grpc

from catalog.domain.product import ProductKey
from catalog.domain.space import Space
from catalog.domain.state import KNOWN_FIELDS, IndexedState
from catalog.ports import ProductWrite, WriteResult
from indexer.qdrant.client import EVERYTHING, PointsClient, including
from indexer.qdrant.errors import InvalidRequest
from indexer.qdrant.points import (
    GUARD,
    InvalidPoint,
    StoredPoint,
    guard_filter,
    guard_of,
    ids_filter,
    known_of,
    merged,
    point_id,
    point_of,
    stored_point,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """How large a request may be, and how long it may take.

    Qdrant takes 32 MB; well below that a smaller batch is no slower, and holds up nobody's query for long.
    """

    max_points: int = 256
    max_bytes: int = 5_000_000
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class PreparedWrite:
    """A write as it goes out: its point, its size in bytes, and the guard it must still carry (None: no point yet)."""

    key: ProductKey
    point: grpc.PointStruct
    size: int
    guard: str | None


class QdrantWriter:
    """Index on one collection, by compare-and-set on `revision`.

    A point expected missing goes out as insert-only, any other as update-only under a filter that Qdrant checks point
    by point. A point that already has the revision to be written counts as written: it was, and the answer was lost.
    Raises Unavailable, and Hopeless for a missing collection or a key that may not.
    """

    def __init__(
        self, client: AsyncQdrantClient, *, collection: str, space: Space, policy: RequestPolicy = RequestPolicy()
    ) -> None:
        self._points = PointsClient(client, collection=collection, timeout_s=policy.timeout_s)
        self._space = space
        self._policy = policy

    async def known(
        self, keys: Collection[ProductKey], *, whole: Collection[ProductKey] = ()
    ) -> dict[ProductKey, IndexedState]:
        """What the index knows of these products; absent where it has no point. Of `whole` all of it is held."""
        known: dict[ProductKey, IndexedState] = {}
        entire = set(whole)
        for some in _batches([key for key in keys if key not in entire], self._policy.max_points):
            ids = {point_id(key): key for key in some}
            found = await self._points.get(ids, payload=including(*KNOWN_FIELDS))
            known |= {ids[i]: known_of(stored_point(point)) for i, point in found.items()}
        for some in _batches(entire, self._policy.max_points):
            ids = {point_id(key): key for key in some}
            found = await self._points.get(ids, payload=EVERYTHING, vectors=True)
            there = {ids[i]: stored_point(point) for i, point in found.items()}
            known |= {key: replace(known_of(one), held=one) for key, one in there.items()}
        return known

    async def write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        """Write what is still as expected; keys are distinct. Applied when it returns."""
        moved: set[ProductKey] = set()
        invalid: dict[ProductKey, str] = {}
        for some in _batches(writes, self._policy.max_points):
            current = await self._current(some)
            ready: list[PreparedWrite] = []
            for write in some:
                try:
                    one = self._ready(write, current)
                except InvalidPoint as error:
                    invalid[write.key] = str(error)
                    continue
                if one is None:
                    moved.add(write.key)
                else:
                    ready.append(one)
            refused = await self._send(ready)
            invalid |= refused
            moved |= await self._moved([r for r in ready if r.key not in refused])
        return WriteResult(frozenset(moved), invalid)

    async def _current(self, writes: Sequence[ProductWrite]) -> dict[str, StoredPoint]:
        """What payload-only writes keep, by the id of its point."""
        current = {w.held.point.id.uuid: w.held for w in writes if isinstance(w.held, StoredPoint)}
        if missing := [point_id(w.key) for w in writes if w.vectors is None and w.held is None]:
            found = await self._points.get(missing, payload=EVERYTHING, vectors=True)
            current |= {i: stored_point(point) for i, point in found.items()}
        return current

    def _ready(self, write: ProductWrite, current: Mapping[str, StoredPoint]) -> PreparedWrite | None:
        """None where a payload-only write finds its point gone or moved on."""
        there = current.get(point_id(write.key))
        if write.vectors is None and there is None:
            return None
        point = point_of(write, self._space) if there is None else merged(write, there)
        guard = None if write.expect is None else guard_of(point.id.uuid, write.expect)
        if there is not None and _guard(there.point) not in (guard, point.payload[GUARD].string_value):
            return None
        size = point.ByteSize()
        if size > self._policy.max_bytes:
            raise InvalidPoint(f"the point takes {size} bytes; the limit is {self._policy.max_bytes}")
        return PreparedWrite(write.key, point, size, guard)

    async def _send(self, ready: Sequence[PreparedWrite]) -> dict[ProductKey, str]:
        """Guarded requests, none too large. Returns what Qdrant calls invalid, with its reason."""
        refused: dict[ProductKey, str] = {}
        for some in _within(ready, self._policy.max_bytes):
            refused |= await self._upsert(some)
        return refused

    async def _upsert(self, ready: Sequence[PreparedWrite]) -> dict[ProductKey, str]:
        """One request, halved for as long as Qdrant refuses it, until only the culprits are left out."""
        new = [r.point for r in ready if r.guard is None]
        changed = [r.point for r in ready if r.guard is not None]
        guards = guard_filter(r.guard for r in ready if r.guard is not None)
        try:
            await self._points.write(new=new, changed=changed, only_if=guards)
        except InvalidRequest as error:
            if len(ready) == 1:
                return {ready[0].key: f"the index refuses the point: {error}"}
            half = len(ready) // 2
            return await self._upsert(ready[:half]) | await self._upsert(ready[half:])
        return {}

    async def _moved(self, ready: Sequence[PreparedWrite]) -> set[ProductKey]:
        """A refused point stays as it is without a word: only reading shows which were written.

        One that was written and at once overwritten by a rival counts as moved too: to decide it again does no harm.
        """
        if not ready:
            return set()
        ids = [r.point.id.uuid for r in ready]
        if await self._points.count(ids_filter(ids, (r.point.payload[GUARD].string_value for r in ready))) == len(
            ready
        ):
            return set()
        found = await self._points.get(ids, payload=including(GUARD))
        written = {i: _guard(point) for i, point in found.items()}
        return {r.key for r in ready if written.get(r.point.id.uuid) != r.point.payload[GUARD].string_value}


def _guard(point: grpc.RetrievedPoint) -> str | None:
    return point.payload[GUARD].string_value if GUARD in point.payload else None


def _batches(items: Collection[T], size: int) -> Iterator[list[T]]:
    left = iter(items)
    while some := list(islice(left, size)):
        yield some


def _within(ready: Sequence[PreparedWrite], max_bytes: int) -> Iterator[list[PreparedWrite]]:
    some: list[PreparedWrite] = []
    size = 0
    for r in ready:
        if some and size + r.size > max_bytes:
            yield some
            some, size = [], 0
        some.append(r)
        size += r.size
    if some:
        yield some
