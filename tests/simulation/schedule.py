"""A schedule: what the shop says, what goes wrong, and under which conditions. All of it is drawn from a seed."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from typing import Literal, get_args
from zlib import crc32

from catalog.domain.product import ProductKey
from catalog.events.parser import ParserConfig, key_bytes

CONTRACT = ParserConfig(tenant="shop")
LIVE, BACKFILL = "live", "back-fill"
POISON = "poison"  # a title that gives no finite vector
CURSED = "cursed"  # a title, or an attribute's name, with which the index calls a point invalid

REPAIR_S = (*[0.1] * 12, *[1.0] * 12)  # often while the shop still speaks, and not at an end before photos heal

FaultKind = Literal["crash", "zombie", "lapse", "leave", "join", "rebalance", "pause", "outage", "hopeless"]
FAULTS: tuple[FaultKind, ...] = get_args(FaultKind)
SERVICES = ("index", "encoder", "quarantine")


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One record as the shop produces it: `said` is the event, bytes as they are, or None for a tombstone.

    `bad` says that no parser may take it. Saying the same twice makes two events.
    """

    at: float
    topic: str
    key: bytes | None
    said: dict[str, object] | bytes | None
    timestamp: int
    bad: bool = False

    @property
    def value(self) -> bytes | None:
        return json.dumps(self.said).encode() if isinstance(self.said, dict) else self.said

    def partition(self, partitions: int) -> int:
        return crc32(self.key or self.value or b"") % partitions


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong `at` a moment, with the `which`-th worker or service, for `seconds`."""

    at: float
    kind: FaultKind
    which: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Setting:
    """The conditions. Chances are by call; `slow` is the longest usual delay of a call in seconds.

    `repair_s` are the waits before photos that could not be had are tried again; with none they wait for a put.
    """

    workers: int
    partitions: int
    max_records: int
    depth: int
    commit_every_s: float
    slow: float
    unavailable: float
    unhealthy_photos: float
    shuffled: bool
    repair_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """`salt` draws the interleaving; it is 0 unless a shortened schedule needed another one to fail."""

    seed: int
    setting: Setting
    events: tuple[Event, ...]
    faults: tuple[Fault, ...]
    salt: int = 0

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, salt {self.salt}", str(self.setting)]
        happenings: list[tuple[float, str]] = [(e.at, _told(e)) for e in self.events]
        happenings += [(f.at, f"-- {f.kind} of {f.which} for {f.seconds:.3f} s") for f in self.faults]
        return "\n".join(lines + [f"{at:7.3f} {what}" for at, what in sorted(happenings, key=lambda h: h[0])])


def _told(event: Event) -> str:
    bad = " (bad)" if event.bad else ""
    return f"{event.topic}: {event.key!r} {event.value!r} timestamp={event.timestamp}{bad}"


def draw(seed: int) -> Schedule:
    """The schedule of a seed."""
    chance = random.Random(seed)
    setting = Setting(
        workers=chance.choice((1, 1, 2, 3)),
        partitions=chance.choice((1, 2, 3)),
        max_records=chance.choice((1, 2, 5, 16)),
        depth=chance.choice((1, 2, 4)),
        commit_every_s=chance.choice((0.05, 0.3, 1.0)),
        slow=chance.choice((0.01, 0.05, 0.3)),
        unavailable=chance.choice((0.0, 0.02, 0.1)),
        unhealthy_photos=chance.choice((0.0, 0.3, 0.6)),
        shuffled=chance.random() < 0.9,
        repair_s=random.Random(f"{seed} repair").choice(((), REPAIR_S, REPAIR_S)),
    )
    events = _events(chance, count=chance.randint(4, 36), over_s=chance.choice((0.05, 0.5, 2.0)))
    faults = tuple(
        Fault(chance.uniform(0, 2.5), chance.choice(FAULTS), chance.randrange(3), chance.choice((0.02, 0.3, 2.0)))
        for _ in range(chance.choice((0, 1, 2, 4)))
    )
    return Schedule(seed, setting, events, faults)


def _events(chance: random.Random, *, count: int, over_s: float) -> tuple[Event, ...]:
    ids = ["mug", "lamp", "sofa", "rug"][: chance.choice((1, 2, 4))]
    orderly = chance.random() < 0.5
    events: list[Event] = []
    for number, at in enumerate(sorted(chance.uniform(0, over_s) for _ in range(count))):
        if events and chance.random() < 0.12:
            events.append(replace(chance.choice(events), at=at))  # the shop says it again
            continue
        # Orderly shops count their versions up and are late now and then; others collide all the time.
        version = max(0, number - chance.choice((0, 0, 0, 5))) if orderly else chance.randint(0, 7)
        topic = LIVE if chance.random() < 0.75 else BACKFILL
        if chance.random() < 0.1:
            events.append(_bad(chance, at, topic, version))
        else:
            events.append(_good(chance, at, topic, version, chance.choice(ids)))
    return tuple(events)


def _good(chance: random.Random, at: float, topic: str, version: int, id: str) -> Event:
    tenant = "other" if chance.random() < 0.1 else CONTRACT.tenant
    key = key_bytes(ProductKey(tenant, id))
    kind = chance.choices(("put", "patch", "delete", "tombstone"), (50, 32, 9, 4))[0]
    if kind == "tombstone":
        return Event(at, topic, key, None, version)
    said: dict[str, object] = {"op": kind, "id": id, "version": version}
    if tenant != CONTRACT.tenant or chance.random() < 0.2:
        said["tenant"] = tenant
    if chance.random() < 0.1:
        del said["version"]  # the record's timestamp stands for it
    if kind == "put":
        said["title"] = chance.choices(("red mug", "blue mug", "lamp", POISON, CURSED), (30, 30, 30, 6, 4))[0]
        said["images"] = chance.choice(([], ["http://a/1.jpg"], ["http://a/2.jpg", "http://a/1.jpg"]))
    if kind == "patch" and chance.random() < 0.04:
        said["attributes"] = {CURSED: "yes"}
    elif kind in ("put", "patch"):
        said["offer"] = _some(chance, {"price": (1, 2.5, 3, None), "available": (True, False, None)})
        said["attributes"] = _some(chance, {"color": ("red", ["red", "blue"], None), "size": ("S", 4, None)})
    return Event(at, topic, key, said, version)


def _some(chance: random.Random, choices: dict[str, tuple[object, ...]]) -> dict[str, object]:
    return {name: chance.choice(values) for name, values in choices.items() if chance.random() < 0.5}


def _bad(chance: random.Random, at: float, topic: str, version: int) -> Event:
    key = key_bytes(ProductKey(CONTRACT.tenant, "mug"))
    said: dict[str, object] | bytes | None = chance.choice(
        (
            b"",
            b"{",
            b"\xff\xfe",
            b"[]",
            {"id": "mug", "version": version},
            {"op": "put", "version": version, "title": "lamp"},
            {"op": "jump", "id": "mug", "version": version},
            {"op": "patch", "id": "mug", "version": version, "title": "lamp"},
            {"op": "put", "id": "mug", "version": -1, "title": "lamp"},
            {"op": "put", "id": "mug", "version": version, "title": "lamp", "offer": {"price": "free"}},
            None,
        )
    )
    return Event(at, topic, None if said is None else key, said, version, bad=True)
