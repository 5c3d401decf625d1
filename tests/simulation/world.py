"""The simulated services, and the connections to them, on which requests and responses are late or lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeVar

from catalog.domain.image_state import ImageState
from catalog.domain.product import Content, ProductKey
from catalog.domain.record import Reject
from catalog.domain.space import FUSED, IMAGE, Space
from catalog.domain.state import IndexedState, Payload, indexed_state_from
from catalog.errors import FatalError, Unavailable
from catalog.ports import EncodedItem, PreparedItem, ProductWrite, Vector, WriteResult
from tests.fakes import SPACE, unit
from tests.simulation.schedule import CURSED, POISON, Conditions
from tests.simulation.store import Point, Store

T = TypeVar("T")
cached_unit = lru_cache(maxsize=1024)(unit)


def vectors_of(content: Content, state: ImageState) -> dict[str, Vector]:
    """The vectors of a title and its first photo, by name. Without a photo there is no image vector."""
    vectors = {FUSED: cached_unit(f"{content.title} {state is ImageState.OK}", SPACE.vectors[FUSED])}
    if state is ImageState.OK:
        vectors[IMAGE] = cached_unit(content.images[0], SPACE.vectors[IMAGE])
    return vectors


@dataclass
class FaultInjector:
    """The faults that calls meet.

    `outages` and `fatal` map a service to the time, in seconds of simulated time, until which it does not answer or
    fails fatally. `seen` counts notable occurrences.
    """

    rng: random.Random
    conditions: Conditions
    seen: Counter[str]
    calm: bool = False
    outages: dict[str, float] = field(default_factory=dict)
    fatal: dict[str, float] = field(default_factory=dict)

    def delay(self) -> float:
        if self.rng.random() < 0.3:
            return 0.0
        return self.conditions.slow * self.rng.random() ** 3

    def loses(self) -> bool:
        return not self.calm and self.rng.random() < self.conditions.unavailable

    def check(self, service: str) -> None:
        """Raises FatalError, or Unavailable if the service is down or this call is lost."""
        now = asyncio.get_running_loop().time()
        if self.fatal.get(service, 0.0) > now:
            raise FatalError(f"The {service} refuses.")
        if self.outages.get(service, 0.0) > now or self.loses():
            raise Unavailable(f"The {service} does not answer.")


@dataclass
class Connections:
    """One worker's connections. `paused_until` is the time until which the worker stands still; `cut`: it is dead."""

    injector: FaultInjector
    paused_until: float = 0.0
    cut: bool = False

    async def pause(self) -> None:
        """A delay; for a dead worker it never ends."""
        await asyncio.sleep(max(self.injector.delay(), self.paused_until - asyncio.get_running_loop().time()))
        if self.cut:
            await asyncio.get_running_loop().create_future()

    async def call(self, service: str, do: Callable[[], T]) -> T:
        """Runs `do` at the service. After Unavailable it may have run, may run later, or may never run."""
        await self.pause()
        self.injector.check(service)
        if service == "index" and self.injector.loses():
            asyncio.get_running_loop().call_later(self.injector.delay() * 4, do)
            self.injector.seen["written after a timeout"] += 1
            raise Unavailable(f"The {service} did not answer in time.")
        response = do()
        await self.pause()
        if self.injector.loses():
            self.injector.seen["response lost"] += 1
            raise Unavailable(f"The {service}'s response was lost.")
        return response


class SimIndex:
    """The index from a worker's view, with the same requests for a batch as the real writer."""

    def __init__(self, connections: Connections, store: Store) -> None:
        self._connections = connections
        self._store = store

    async def read_states(
        self, keys: Collection[ProductKey], *, with_stored_point: Collection[ProductKey] = ()
    ) -> dict[ProductKey, IndexedState]:
        states: dict[ProductKey, IndexedState] = {}
        for chunk in (sorted(set(keys) - set(with_stored_point)), sorted(with_stored_point)):
            if chunk:
                points = await self._read(chunk)
                states |= {
                    key: replace(indexed_state_from(point.payload), stored=point if key in with_stored_point else None)
                    for key, point in points.items()
                }
        return states

    async def write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        """Reads what payload-only writes keep, writes in one or two guarded requests, reads which succeeded."""
        valid = sorted(writes, key=lambda w: w.key)
        invalid = {
            w.key: "cursed" for w in valid if CURSED in (w.payload.get("title"), *w.payload.get("attributes", ()))
        }
        valid = [w for w in valid if w.key not in invalid]
        conflicts: set[ProductKey] = set()
        split = self._connections.injector.rng.randint(0, len(valid)) if len(valid) > 1 else 0
        for chunk in (valid[:split], valid[split:]):
            if chunk:
                conflicts |= await self._request(chunk)
        self._connections.injector.seen["conflict"] += len(conflicts)
        self._connections.injector.seen["invalid"] += len(invalid)
        return WriteResult(frozenset(conflicts), invalid)

    async def _request(self, writes: Sequence[ProductWrite]) -> set[ProductKey]:
        current = {w.key: w.stored for w in writes if isinstance(w.stored, Point)}
        self._connections.injector.seen["stored point reused"] += len(current)
        missing = [w.key for w in writes if w.vectors is None and w.key not in current]
        if missing:
            current |= await self._read(missing)
        ready = [r for w in writes if (r := self._store.with_stored_fields(w, current.get(w.key))) is not None]
        await self._connections.call("index", lambda: [self._store.apply(w) for w in ready])
        keys = [w.key for w in ready]
        revisions = await self._connections.call("index", lambda: {k: self._store.revision(k) for k in keys})
        written = {w.key for w in ready if revisions[w.key] == w.payload["revision"]}
        return {w.key for w in writes} - written

    async def _read(self, keys: Sequence[ProductKey]) -> dict[ProductKey, Point]:
        points = await self._connections.call("index", lambda: {k: self._store.points.get(k) for k in keys})
        return {key: point for key, point in points.items() if point}


class SimRetryQueue:
    def __init__(self, connections: Connections, store: Store) -> None:
        self._connections = connections
        self._store = store

    async def due(self, now_ms: int, *, limit: int) -> Sequence[Payload]:
        due = await self._connections.call("index", lambda: self._store.due(now_ms))
        self._connections.injector.seen["due"] += len(due[:limit])
        return due[:limit]


class SimEncoder:
    """Vectors that depend on the content only, a title without a finite vector, and photo hosts that may not answer.

    `encoded` lists every content that the device encoded.
    """

    space: Space = SPACE

    def __init__(self, connections: Connections, encoded: list[Content]) -> None:
        self._connections = connections
        self._encoded = encoded

    async def prepare(self, items: Sequence[Content]) -> Sequence[PreparedItem]:
        await self._connections.pause()
        # Drawn in sorted order, because the order of the items comes from a set.
        photos = {item: self._photo(item) for item in sorted(set(items), key=lambda i: (i.title, i.images))}
        return [PreparedItem(photos[item], "", item) for item in items]

    def _photo(self, item: Content) -> ImageState:
        if not item.images:
            return ImageState.NONE
        drawn = self._connections.injector.rng.random() / max(
            self._connections.injector.conditions.unhealthy_photos, 1e-9
        )
        if drawn >= 1 or self._connections.injector.calm:
            return ImageState.OK
        return ImageState.UNAVAILABLE if drawn < 0.5 else ImageState.MISSING

    async def encode(self, prepared: Sequence[PreparedItem]) -> Sequence[EncodedItem | None]:
        return await self._connections.call("encoder", lambda: [self._encode(p) for p in prepared])

    def _encode(self, prepared: PreparedItem) -> EncodedItem | None:
        content = prepared.inputs
        assert isinstance(content, Content)
        self._encoded.append(content)
        if content.title == POISON:
            self._connections.injector.seen["no finite vector"] += 1
            return None
        return EncodedItem(vectors_of(content, prepared.image_state), prepared.image_state)


class SimQuarantine:
    def __init__(self, connections: Connections, rejects: list[Reject]) -> None:
        self._connections = connections
        self._rejects = rejects

    async def put(self, rejects: Sequence[Reject]) -> None:
        await self._connections.call("quarantine", lambda: self._rejects.extend(rejects))
