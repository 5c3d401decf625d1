"""A schedule, drawn from a seed: the events of the shop, the faults with their times, and the photos."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal, get_args

from catalog.domain.product import ProductKey
from catalog.events.parser import key_bytes
from tests.chaos.photos import BAD, GOOD, LATE, PICTURES, url_of
from tests.simulation.schedule import BACKFILL, LIVE, PARSER, Event

FaultKind = Literal[
    "worker killed",
    "worker stopped",
    "worker leaves",
    "worker joins",
    "broker killed",
    "broker restarted",
    "broker stopped",
    "engine killed",
    "engine away",
    "engine restarted",
    "engine stopped",
    "engine slow",
    "engine fails before",
    "engine fails after",
    "engine cut off",
    "quarantine gone",
]
FAULTS: tuple[FaultKind, ...] = get_args(FaultKind)
SESSION_S = 6.0  # without a heartbeat for so long, the group removes a worker
DAY_MS = 24 * 3_600_000
TITLES = ("red mug", "blue mug", "desk lamp", "oak table", "wool rug", "tea pot")


@dataclass(frozen=True, slots=True)
class World:
    """Surroundings of a schedule: versions count from `epoch_ms`, photos are at `photo_port`."""

    epoch_ms: int
    photo_port: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that begins `at` a time of the schedule, of the `which`-th worker, for `seconds`."""

    at: float
    kind: FaultKind
    which: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Setting:
    """The configuration of a shop, which several schedules share.

    `members`: workers keep their names in the group. `repair_after_s`: the delays of retries of photos.
    """

    workers: int
    partitions: int
    batch_size: int
    members: bool
    repair_after_s: tuple[float, ...] = (1.0, 3.0, 9.0, 60.0)


@dataclass(frozen=True, slots=True)
class Schedule:
    seed: int
    number: int
    events: tuple[Event, ...]
    faults: tuple[Fault, ...]

    @property
    def lenient(self) -> bool:
        """Whether a good photo may be late, because a stopped worker does not read from its host."""
        return any(fault.kind == "worker stopped" for fault in self.faults)

    @property
    def summary(self) -> str:
        return ", ".join(f"{f.kind} ({f.at:.1f}+{f.seconds:.1f} s)" for f in self.faults) or "calm"

    def __str__(self) -> str:
        lines = [(f.at, f"-- {f.kind}, {f.which}, {f.seconds:.1f} s") for f in self.faults]
        lines += [
            (e.at, f"{e.topic}: {e.key!r} {e.value!r} timestamp={e.timestamp}" + " (bad)" * e.bad) for e in self.events
        ]
        return "\n".join(f"{at:7.3f} {what}" for at, what in sorted(lines, key=lambda line: line[0]))


def draw_setting(seed: int, shop: int) -> Setting:
    """The configuration of the `shop`-th shop of a seed."""
    chance = random.Random(f"{seed}/shop/{shop}")
    return Setting(
        workers=chance.choice((2, 2, 3)),
        partitions=chance.choice((2, 3, 4)),
        batch_size=chance.choice((4, 16, 64)),
        members=chance.random() < 0.5,
        repair_after_s=chance.choice(((1.0, 3.0, 9.0, 60.0), (3600.0,))),
    )


def draw(seed: int, number: int, world: World, *, kinds: tuple[FaultKind, ...] = FAULTS) -> Schedule:
    """The `number`-th schedule of a seed, with faults of these kinds."""
    chance = random.Random(f"{seed}/{number}")
    over_s = chance.uniform(3.0, 7.0)
    events = _Draw(chance, number, world).events(count=chance.randint(24, 140), over_s=over_s)
    faults = [_fault(chance, over_s, kinds) for _ in range(chance.choice((1, 1, 2, 2, 3, 4)))]
    return Schedule(seed, number, events, tuple(sorted(faults, key=lambda f: f.at)))


def _fault(chance: random.Random, over_s: float, kinds: tuple[FaultKind, ...]) -> Fault:
    kind = chance.choice(kinds)
    seconds = chance.uniform(0.3, 4.0)
    if kind in ("worker stopped", "broker stopped") and chance.random() < 0.3:
        seconds = chance.uniform(SESSION_S, SESSION_S + 5)
    return Fault(chance.uniform(0.0, over_s), kind, chance.randrange(4), seconds)


class _Draw:
    """Draws the events of one schedule. Its products are in no other schedule."""

    def __init__(self, chance: random.Random, number: int, world: World) -> None:
        self._chance = chance
        self._number = number
        self._world = world
        self._photos = 0
        self._contents: dict[ProductKey, list[tuple[str, list[str]]]] = {}
        count = chance.choice((3, 8, 20))
        self._ids = [f"c{number}-{i}" for i in range(count)]
        self._bad_share = chance.choice((0.1, 0.3, 0.6))
        self._late = 3  # number of photos of the schedule that may delay a batch

    def events(self, *, count: int, over_s: float) -> tuple[Event, ...]:
        chance = self._chance
        orderly = chance.random() < 0.6
        events: list[Event] = []
        for n, at in enumerate(sorted(chance.uniform(0, over_s) for _ in range(count))):
            if events and chance.random() < 0.12:
                events.append(replace(chance.choice(events), at=at))  # the shop sends it again
                continue
            # Orderly shops count versions up and are sometimes late; versions of others collide often.
            step = max(0, n - chance.choice((0, 0, 0, 5, 20))) if orderly else chance.randint(0, 9)
            topic = LIVE if chance.random() < 0.7 else BACKFILL
            make = self._bad if chance.random() < 0.08 else self._good
            events.append(make(at, topic, self._world.epoch_ms + step))
        return tuple(events)

    def _good(self, at: float, topic: str, version: int) -> Event:
        chance = self._chance
        key = ProductKey(
            chance.choice((PARSER.tenant, PARSER.tenant, PARSER.tenant, "other")), chance.choice(self._ids)
        )
        kind = chance.choices(("put", "patch", "delete", "tombstone"), (50, 30, 12, 5))[0]
        if kind == "tombstone":
            return Event(at, topic, key_bytes(key), None, version)
        event: dict[str, object] = {"op": kind, "id": key.id, "version": version}
        if key.tenant != PARSER.tenant or chance.random() < 0.2:
            event["tenant"] = key.tenant
        if chance.random() < 0.1:
            del event["version"]  # the record's timestamp is the version
        if kind == "put":
            event["title"], event["images"] = self._content(key)
        if kind in ("put", "patch"):
            event["offer"] = self._pick({"price": (1, 2.5, 3, None), "available": (True, False), "currency": ("EUR",)})
            event["attributes"] = self._pick({"color": ("red", ["red", "blue"], None), "size": ("S", 4, None)})
        return Event(at, topic, key_bytes(key), event, version)

    def _content(self, key: ProductKey) -> tuple[str, list[str]]:
        before = self._contents.setdefault(key, [])
        if before and self._chance.random() < 0.4:
            return self._chance.choice(before)
        title = self._chance.choice(TITLES)
        content = title, [self._photo() for _ in range(self._chance.choice((0, 1, 1, 2)))]
        before.append(content)
        return content

    def _photo(self) -> str:
        kind = self._chance.choice(tuple(BAD if self._chance.random() < self._bad_share else GOOD))
        if kind in LATE:
            kind, self._late = (kind, self._late - 1) if self._late > 0 else ("404", 0)
        self._photos += 1
        number = self._number * 256 + self._photos
        return url_of(kind, self._chance.randrange(PICTURES), number, self._world.photo_port)

    def _pick(self, choices: dict[str, tuple[object, ...]]) -> dict[str, object]:
        return {name: self._chance.choice(values) for name, values in choices.items() if self._chance.random() < 0.5}

    def _bad(self, at: float, topic: str, version: int) -> Event:
        id = self._chance.choice(self._ids)
        put: dict[str, object] = {"op": "put", "id": id, "version": version, "title": "lamp"}
        event: dict[str, object] | bytes = self._chance.choice(
            (
                b"",
                b"{",
                b"\xff\xfe",
                b"[]",
                b"NaN",
                b'{"id": "\\ud800", "title": "half"}',
                {"id": id, "version": version},
                {"op": "put", "version": version, "title": "lamp"},
                put | {"op": "jump"},
                put | {"op": "patch"},
                put | {"version": -1},
                put | {"version": version + 40 * DAY_MS},
                put | {"version": "new"},
                put | {"title": 5},
                put | {"title": "  "},
                put | {"images": "http://a/1.jpg"},
                put | {"offer": {"price": "free"}},
                put | {"attributes": ["red"]},
            )
        )
        return Event(at, topic, key_bytes(ProductKey(PARSER.tenant, id)), event, version, bad=True)
