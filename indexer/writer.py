"""The write side of the live collection."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

from qdrant_client import AsyncQdrantClient, grpc

from catalog.domain.product import Key
from catalog.domain.space import Space
from catalog.domain.state import KNOWN_FIELDS, Known
from catalog.ports import Outcome, Write
from indexer.qdrant.client import EVERYTHING, Points, including
from indexer.qdrant.errors import Refused
from indexer.qdrant.points import (
    GUARD,
    Held,
    InvalidPoint,
    guard_of,
    held,
    known_of,
    merged,
    only_if,
    point_id,
    point_of,
    these,
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
class Ready:
    """A write as it goes out: its point, its size in bytes, and the guard it must still carry (None: no point yet)."""

    key: Key
    point: grpc.PointStruct
    size: int
    guard: str | None


class QdrantIndex:
    """Index on one collection, by compare-and-set on `revision`.

    A point expected missing goes out as insert-only, any other as update-only under a filter that Qdrant checks point
    by point. A point that already has the revision to be written counts as written: it was, and the answer was lost.
    Raises Unavailable, and Hopeless for a missing collection or a key that may not.
    """

    def __init__(
        self, client: AsyncQdrantClient, *, collection: str, space: Space, policy: RequestPolicy = RequestPolicy()
    ) -> None:
        self._points = Points(client, collection=collection, timeout_s=policy.timeout_s)
        self._space = space
        self._policy = policy

    async def known(self, keys: Collection[Key], *, whole: Collection[Key] = ()) -> dict[Key, Known]:
        """What the index knows of these products; absent where it has no point. Of `whole` all of it is held."""
        known: dict[Key, Known] = {}
        entire = set(whole)
        for some in _batches([key for key in keys if key not in entire], self._policy.max_points):
            ids = {point_id(key): key for key in some}
            found = await self._points.get(ids, payload=including(*KNOWN_FIELDS))
            known |= {ids[i]: known_of(held(point)) for i, point in found.items()}
        for some in _batches(entire, self._policy.max_points):
            ids = {point_id(key): key for key in some}
            found = await self._points.get(ids, payload=EVERYTHING, vectors=True)
            there = {ids[i]: held(point) for i, point in found.items()}
            known |= {key: replace(known_of(one), held=one) for key, one in there.items()}
        return known

    async def write(self, writes: Sequence[Write]) -> Outcome:
        """Write what is still as expected; keys are distinct. Applied when it returns."""
        moved: set[Key] = set()
        invalid: dict[Key, str] = {}
        for some in _batches(writes, self._policy.max_points):
            current = await self._current(some)
            ready: list[Ready] = []
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
        return Outcome(frozenset(moved), invalid)

    async def _current(self, writes: Sequence[Write]) -> dict[str, Held]:
        """What payload-only writes keep, by the id of its point."""
        current = {w.held.point.id.uuid: w.held for w in writes if isinstance(w.held, Held)}
        if missing := [point_id(w.key) for w in writes if w.vectors is None and w.held is None]:
            found = await self._points.get(missing, payload=EVERYTHING, vectors=True)
            current |= {i: held(point) for i, point in found.items()}
        return current

    def _ready(self, write: Write, current: Mapping[str, Held]) -> Ready | None:
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
        return Ready(write.key, point, size, guard)

    async def _send(self, ready: Sequence[Ready]) -> dict[Key, str]:
        """Guarded requests, none too large. Returns what Qdrant calls invalid, with its reason."""
        refused: dict[Key, str] = {}
        for some in _within(ready, self._policy.max_bytes):
            refused |= await self._upsert(some)
        return refused

    async def _upsert(self, ready: Sequence[Ready]) -> dict[Key, str]:
        """One request, halved for as long as Qdrant refuses it, until only the culprits are left out."""
        new = [r.point for r in ready if r.guard is None]
        changed = [r.point for r in ready if r.guard is not None]
        guards = only_if(r.guard for r in ready if r.guard is not None)
        try:
            await self._points.write(new=new, changed=changed, only_if=guards)
        except Refused as error:
            if len(ready) == 1:
                return {ready[0].key: f"the index refuses the point: {error}"}
            half = len(ready) // 2
            return await self._upsert(ready[:half]) | await self._upsert(ready[half:])
        return {}

    async def _moved(self, ready: Sequence[Ready]) -> set[Key]:
        """A refused point stays as it is without a word: only reading shows which were written.

        One that was written and at once overwritten by a rival counts as moved too: to decide it again does no harm.
        """
        if not ready:
            return set()
        ids = [r.point.id.uuid for r in ready]
        if await self._points.count(these(ids, (r.point.payload[GUARD].string_value for r in ready))) == len(ready):
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


def _within(ready: Sequence[Ready], max_bytes: int) -> Iterator[list[Ready]]:
    some: list[Ready] = []
    size = 0
    for r in ready:
        if some and size + r.size > max_bytes:
            yield some
            some, size = [], 0
        some.append(r)
        size += r.size
    if some:
        yield some
