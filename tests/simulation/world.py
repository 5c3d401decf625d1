"""The services of the simulated world, and the wire to them on which requests and answers are late or lost."""

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
from catalog.domain.state import IndexedState, Payload, known_from
from catalog.errors import FatalError, Unavailable
from catalog.ports import EncodedItem, PreparedItem, ProductWrite, Vector, WriteResult
from tests.fakes import SPACE, unit
from tests.simulation.schedule import CURSED, POISON, Setting
from tests.simulation.store import Point, Store

T = TypeVar("T")
cached_unit = lru_cache(maxsize=1024)(unit)


def vectors_of(content: Content, state: ImageState) -> dict[str, Vector]:
    """The vectors that a title and its first photo have, by name. Without a photo there is none of it."""
    vectors = {FUSED: cached_unit(f"{content.title} {state is ImageState.OK}", SPACE.vectors[FUSED])}
    if state is ImageState.OK:
        vectors[IMAGE] = cached_unit(content.images[0], SPACE.vectors[IMAGE])
    return vectors


@dataclass
class Weather:
    """What calls meet.

    `outages` and `hopeless` are until when, in seconds of simulated time, a service is away or refuses for good.
    `seen` counts what is worth knowing of.
    """

    chance: random.Random
    setting: Setting
    seen: Counter[str]
    calm: bool = False
    outages: dict[str, float] = field(default_factory=dict)
    hopeless: dict[str, float] = field(default_factory=dict)

    def delay(self) -> float:
        if self.chance.random() < 0.3:
            return 0.0
        return self.setting.slow * self.chance.random() ** 3

    def loses(self) -> bool:
        return not self.calm and self.chance.random() < self.setting.unavailable

    def check(self, service: str) -> None:
        """Raises FatalError, or Unavailable where the service is away or this call is lost."""
        now = asyncio.get_running_loop().time()
        if self.hopeless.get(service, 0.0) > now:
            raise FatalError(f"The {service} refuses.")
        if self.outages.get(service, 0.0) > now or self.loses():
            raise Unavailable(f"The {service} does not answer.")


@dataclass
class Wire:
    """One worker's connections. `until` is the moment to which a paused worker stands still; a `cut` one is dead."""

    weather: Weather
    until: float = 0.0
    cut: bool = False

    async def pause(self) -> None:
        """A delay; a dead worker never comes back from it."""
        await asyncio.sleep(max(self.weather.delay(), self.until - asyncio.get_running_loop().time()))
        if self.cut:
            await asyncio.get_running_loop().create_future()

    async def call(self, service: str, do: Callable[[], T]) -> T:
        """`do` at the service. Raises FatalError, and Unavailable where it never does it, did it or will yet do it."""
        await self.pause()
        self.weather.check(service)
        if service == "index" and self.weather.loses():
            asyncio.get_running_loop().call_later(self.weather.delay() * 4, do)
            self.weather.seen["written after it was given up"] += 1
            raise Unavailable(f"The {service} did not answer in time.")
        done = do()
        await self.pause()
        if self.weather.loses():
            self.weather.seen["answer lost"] += 1
            raise Unavailable(f"The {service}'s answer was lost.")
        return done


class SimIndex:
    """The index as a worker reaches it, in the requests that the real one makes of a batch."""

    def __init__(self, wire: Wire, store: Store) -> None:
        self._wire = wire
        self._store = store

    async def known(
        self, keys: Collection[ProductKey], *, whole: Collection[ProductKey] = ()
    ) -> dict[ProductKey, IndexedState]:
        known: dict[ProductKey, IndexedState] = {}
        for some in (sorted(set(keys) - set(whole)), sorted(whole)):
            if some:
                found = await self._read(some)
                of = {key: (known_from(point.payload), point if key in whole else None) for key, point in found.items()}
                known |= {key: replace(one, held=point) for key, (one, point) in of.items()}
        return known

    async def write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        """Reads what payload-only writes keep, writes in one or two guarded requests, reads which were taken."""
        left = sorted(writes, key=lambda w: w.key)
        invalid = {
            w.key: "cursed" for w in left if CURSED in (w.payload.get("title"), *w.payload.get("attributes", ()))
        }
        left = [w for w in left if w.key not in invalid]
        moved: set[ProductKey] = set()
        cut = self._wire.weather.chance.randint(0, len(left)) if len(left) > 1 else 0
        for some in (left[:cut], left[cut:]):
            if some:
                moved |= await self._request(some)
        self._wire.weather.seen["moved"] += len(moved)
        self._wire.weather.seen["invalid"] += len(invalid)
        return WriteResult(frozenset(moved), invalid)

    async def _request(self, writes: Sequence[ProductWrite]) -> set[ProductKey]:
        current = {w.key: w.held for w in writes if isinstance(w.held, Point)}
        self._wire.weather.seen["held"] += len(current)
        keeping = [w.key for w in writes if w.vectors is None and w.key not in current]
        if keeping:
            current |= await self._read(keeping)
        ready = [r for w in writes if (r := self._store.merged(w, current.get(w.key))) is not None]
        await self._wire.call("index", lambda: [self._store.apply(w) for w in ready])
        keys = [w.key for w in ready]
        written = await self._wire.call("index", lambda: {k: self._store.revision(k) for k in keys})
        taken = {w.key for w in ready if written[w.key] == w.payload["revision"]}
        return {w.key for w in writes} - taken

    async def _read(self, keys: Sequence[ProductKey]) -> dict[ProductKey, Point]:
        found = await self._wire.call("index", lambda: {k: self._store.points.get(k) for k in keys})
        return {key: point for key, point in found.items() if point}


class SimUnhealed:
    def __init__(self, wire: Wire, store: Store) -> None:
        self._wire = wire
        self._store = store

    async def due(self, now_ms: int, *, limit: int) -> Sequence[Payload]:
        found = await self._wire.call("index", lambda: self._store.due(now_ms))
        self._wire.weather.seen["due"] += len(found[:limit])
        return found[:limit]


class SimEncoder:
    """Vectors that depend on the content alone, a poisoned title, and hosts of photos that may not answer.

    `encoded` has every content that came out of the device.
    """

    space: Space = SPACE

    def __init__(self, wire: Wire, encoded: list[Content]) -> None:
        self._wire = wire
        self._encoded = encoded

    async def prepare(self, items: Sequence[Content]) -> Sequence[PreparedItem]:
        await self._wire.pause()
        # Drawn in an order of their own: that of the items comes from a set.
        photos = {item: self._photo(item) for item in sorted(set(items), key=lambda i: (i.title, i.images))}
        return [PreparedItem(photos[item], "", item) for item in items]

    def _photo(self, item: Content) -> ImageState:
        if not item.images:
            return ImageState.NONE
        drawn = self._wire.weather.chance.random() / max(self._wire.weather.setting.unhealthy_photos, 1e-9)
        if drawn >= 1 or self._wire.weather.calm:
            return ImageState.OK
        return ImageState.UNAVAILABLE if drawn < 0.5 else ImageState.MISSING

    async def encode(self, prepared: Sequence[PreparedItem]) -> Sequence[EncodedItem | None]:
        return await self._wire.call("encoder", lambda: [self._encode(p) for p in prepared])

    def _encode(self, prepared: PreparedItem) -> EncodedItem | None:
        content = prepared.inputs
        assert isinstance(content, Content)
        self._encoded.append(content)
        if content.title == POISON:
            self._wire.weather.seen["no finite vector"] += 1
            return None
        return EncodedItem(vectors_of(content, prepared.image_state), prepared.image_state)


class SimQuarantine:
    def __init__(self, wire: Wire, kept: list[Reject]) -> None:
        self._wire = wire
        self._kept = kept

    async def put(self, rejects: Sequence[Reject]) -> None:
        await self._wire.call("quarantine", lambda: self._kept.extend(rejects))
