"""The write side of the live collection."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

from qdrant_client import AsyncQdrantClient, grpc

from catalog.domain.product import ProductKey
from catalog.domain.space import Space
from catalog.domain.state import STATE_FIELDS, IndexedState
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
    indexed_state_of,
    point_id,
    point_of,
    stored_point,
    with_changed_payload,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """Limits on the size and duration of a request.

    Qdrant accepts 32 MB. Far smaller batches are as fast, and do not block queries for long.
    """

    max_points: int = 256
    max_bytes: int = 5_000_000
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class PreparedWrite:
    """A write ready to send: its point, its size in bytes, and the guard to compare with (None: insert only)."""

    key: ProductKey
    point: grpc.PointStruct
    size: int
    guard: str | None

    @property
    def new_guard(self) -> str:
        guard: str = self.point.payload[GUARD].string_value
        return guard


class QdrantWriter:
    """ProductWriter on one collection, by compare-and-set on the revision.

    If no point is expected, the write is insert-only. Any other write is update-only with a filter on the guard, which
    Qdrant evaluates for each point. A point that already has the new revision counts as written: an earlier attempt
    succeeded and its response was lost. Raises Unavailable, and FatalError if the collection or access is missing.
    """

    def __init__(
        self, client: AsyncQdrantClient, *, collection: str, space: Space, policy: RequestPolicy = RequestPolicy()
    ) -> None:
        self._points = PointsClient(client, collection=collection, timeout_s=policy.timeout_s)
        self._space = space
        self._policy = policy

    async def read_states(
        self, keys: Collection[ProductKey], *, with_stored_point: Collection[ProductKey] = ()
    ) -> dict[ProductKey, IndexedState]:
        """The indexed states of these products, without those that have no point."""
        states: dict[ProductKey, IndexedState] = {}
        full = set(with_stored_point)
        for chunk in _chunks([key for key in keys if key not in full], self._policy.max_points):
            ids = {point_id(key): key for key in chunk}
            points = await self._points.get(ids, payload=including(*STATE_FIELDS))
            states |= {ids[i]: indexed_state_of(stored_point(point)) for i, point in points.items()}
        for chunk in _chunks(full, self._policy.max_points):
            ids = {point_id(key): key for key in chunk}
            points = await self._points.get(ids, payload=EVERYTHING, vectors=True)
            stored_points = {ids[i]: stored_point(point) for i, point in points.items()}
            states |= {key: replace(indexed_state_of(stored), stored=stored) for key, stored in stored_points.items()}
        return states

    async def write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        """Apply compare-and-set writes; keys are distinct. Applied when it returns."""
        conflicts: set[ProductKey] = set()
        invalid: dict[ProductKey, str] = {}
        for chunk in _chunks(writes, self._policy.max_points):
            current = await self._current_points(chunk)
            prepared: list[PreparedWrite] = []
            for write in chunk:
                try:
                    ready = self._prepare(write, current)
                except InvalidPoint as error:
                    invalid[write.key] = str(error)
                    continue
                if ready is None:
                    conflicts.add(write.key)
                else:
                    prepared.append(ready)
            refused = await self._send(prepared)
            invalid |= refused
            conflicts |= await self._find_conflicts([p for p in prepared if p.key not in refused])
        return WriteResult(frozenset(conflicts), invalid)

    async def _current_points(self, writes: Sequence[ProductWrite]) -> dict[str, StoredPoint]:
        """The points that payload-only writes change, by id."""
        current = {w.stored.point.id.uuid: w.stored for w in writes if isinstance(w.stored, StoredPoint)}
        if missing := [point_id(w.key) for w in writes if w.vectors is None and w.stored is None]:
            points = await self._points.get(missing, payload=EVERYTHING, vectors=True)
            current |= {i: stored_point(point) for i, point in points.items()}
        return current

    def _prepare(self, write: ProductWrite, current: Mapping[str, StoredPoint]) -> PreparedWrite | None:
        """None if the point of a payload-only write does not exist or has another revision."""
        stored = current.get(point_id(write.key))
        if write.vectors is None and stored is None:
            return None
        point = point_of(write, self._space) if stored is None else with_changed_payload(write, stored)
        revision = write.expected_revision
        guard = None if revision is None else guard_of(point.id.uuid, revision)
        if stored is not None and _guard(stored.point) not in (guard, point.payload[GUARD].string_value):
            return None
        size = point.ByteSize()
        if size > self._policy.max_bytes:
            raise InvalidPoint(f"the point takes {size} bytes; the limit is {self._policy.max_bytes}")
        return PreparedWrite(write.key, point, size, guard)

    async def _send(self, prepared: Sequence[PreparedWrite]) -> dict[ProductKey, str]:
        """Send guarded requests of limited size. Returns the invalid points with Qdrant's reason."""
        refused: dict[ProductKey, str] = {}
        for chunk in _chunks_by_bytes(prepared, self._policy.max_bytes):
            refused |= await self._upsert(chunk)
        return refused

    async def _upsert(self, prepared: Sequence[PreparedWrite]) -> dict[ProductKey, str]:
        """One request. If Qdrant refuses it, each half is sent alone, down to the invalid points."""
        new = [p.point for p in prepared if p.guard is None]
        changed = [p.point for p in prepared if p.guard is not None]
        guards = guard_filter(p.guard for p in prepared if p.guard is not None)
        try:
            await self._points.write(new=new, changed=changed, only_if=guards)
        except InvalidRequest as error:
            if len(prepared) == 1:
                return {prepared[0].key: f"the index refuses the point: {error}"}
            half = len(prepared) // 2
            return await self._upsert(prepared[:half]) | await self._upsert(prepared[half:])
        return {}

    async def _find_conflicts(self, prepared: Sequence[PreparedWrite]) -> set[ProductKey]:
        """Qdrant does not report which points failed the guard: reading them shows it.

        A point that was written and then overwritten by another writer counts as a conflict, too: deciding it again
        does no harm.
        """
        if not prepared:
            return set()
        ids = [p.point.id.uuid for p in prepared]
        if await self._points.count(ids_filter(ids, (p.new_guard for p in prepared))) == len(prepared):
            return set()
        points = await self._points.get(ids, payload=including(GUARD))
        guards = {i: _guard(point) for i, point in points.items()}
        return {p.key for p in prepared if guards.get(p.point.id.uuid) != p.new_guard}


def _guard(point: grpc.RetrievedPoint) -> str | None:
    return point.payload[GUARD].string_value if GUARD in point.payload else None


def _chunks(items: Collection[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk


def _chunks_by_bytes(prepared: Sequence[PreparedWrite], max_bytes: int) -> Iterator[list[PreparedWrite]]:
    chunk: list[PreparedWrite] = []
    size = 0
    for p in prepared:
        if chunk and size + p.size > max_bytes:
            yield chunk
            chunk, size = [], 0
        chunk.append(p)
        size += p.size
    if chunk:
        yield chunk
