"""A schedule: the events of a shop, the faults, and the conditions. All of it is drawn from a seed."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from typing import Literal, get_args
from zlib import crc32

from catalog.domain.product import ProductKey
from catalog.events.parser import ParserConfig, key_bytes

PARSER = ParserConfig(tenant="shop")
LIVE, BACKFILL = "live", "back-fill"
POISON = "poison"  # a title without a finite vector
CURSED = "cursed"  # a title or an attribute name that makes the index call a point invalid

IMAGE_RETRY_DELAYS_S = (*[0.1] * 12, *[1.0] * 12)  # frequent during the events, and enough of them until photos heal

FaultKind = Literal["crash", "zombie", "lapse", "leave", "join", "rebalance", "pause", "outage", "fatal"]
FAULTS: tuple[FaultKind, ...] = get_args(FaultKind)
SERVICES = ("index", "encoder", "quarantine")


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One record as the shop produces it. `body` is the event, raw bytes, or None for a tombstone.

    `bad`: every parser must reject it. Equal records are different events.
    """

    at: float
    topic: str
    key: bytes | None
    body: dict[str, object] | bytes | None
    timestamp: int
    bad: bool = False

    @property
    def value(self) -> bytes | None:
        return json.dumps(self.body).encode() if isinstance(self.body, dict) else self.body

    def partition(self, partitions: int) -> int:
        return crc32(self.key or self.value or b"") % partitions


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the `which`-th worker or service, at time `at`, for `seconds`."""

    at: float
    kind: FaultKind
    which: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions. Probabilities are per call; `slow` is the longest usual delay of a call in seconds.

    `image_retry_delays_s` are the delays before failed photos are retried; without any they wait for a put.
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
    image_retry_delays_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """`salt` selects the interleaving; it is 0 unless a shortened schedule needed another one to fail."""

    seed: int
    conditions: Conditions
    events: tuple[Event, ...]
    faults: tuple[Fault, ...]
    salt: int = 0

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, salt {self.salt}", str(self.conditions)]
        lines_at: list[tuple[float, str]] = [(e.at, _event_text(e)) for e in self.events]
        lines_at += [(f.at, f"-- {f.kind} of {f.which} for {f.seconds:.3f} s") for f in self.faults]
        return "\n".join(lines + [f"{at:7.3f} {text}" for at, text in sorted(lines_at, key=lambda line: line[0])])


def _event_text(event: Event) -> str:
    bad = " (bad)" if event.bad else ""
    return f"{event.topic}: {event.key!r} {event.value!r} timestamp={event.timestamp}{bad}"


def draw(seed: int) -> Schedule:
    """The schedule of a seed."""
    rng = random.Random(seed)
    conditions = Conditions(
        workers=rng.choice((1, 1, 2, 3)),
        partitions=rng.choice((1, 2, 3)),
        max_records=rng.choice((1, 2, 5, 16)),
        depth=rng.choice((1, 2, 4)),
        commit_every_s=rng.choice((0.05, 0.3, 1.0)),
        slow=rng.choice((0.01, 0.05, 0.3)),
        unavailable=rng.choice((0.0, 0.02, 0.1)),
        unhealthy_photos=rng.choice((0.0, 0.3, 0.6)),
        shuffled=rng.random() < 0.9,
        image_retry_delays_s=random.Random(f"{seed} repair").choice(((), IMAGE_RETRY_DELAYS_S, IMAGE_RETRY_DELAYS_S)),
    )
    events = _events(rng, count=rng.randint(4, 36), over_s=rng.choice((0.05, 0.5, 2.0)))
    faults = tuple(
        Fault(rng.uniform(0, 2.5), rng.choice(FAULTS), rng.randrange(3), rng.choice((0.02, 0.3, 2.0)))
        for _ in range(rng.choice((0, 1, 2, 4)))
    )
    return Schedule(seed, conditions, events, faults)


def _events(rng: random.Random, *, count: int, over_s: float) -> tuple[Event, ...]:
    ids = ["mug", "lamp", "sofa", "rug"][: rng.choice((1, 2, 4))]
    orderly = rng.random() < 0.5
    events: list[Event] = []
    for number, at in enumerate(sorted(rng.uniform(0, over_s) for _ in range(count))):
        if events and rng.random() < 0.12:
            events.append(replace(rng.choice(events), at=at))  # the shop repeats it
            continue
        # Orderly shops increase their versions and are late at times; the versions of others collide often.
        version = max(0, number - rng.choice((0, 0, 0, 5))) if orderly else rng.randint(0, 7)
        topic = LIVE if rng.random() < 0.75 else BACKFILL
        if rng.random() < 0.1:
            events.append(_bad(rng, at, topic, version))
        else:
            events.append(_good(rng, at, topic, version, rng.choice(ids)))
    return tuple(events)


def _good(rng: random.Random, at: float, topic: str, version: int, id: str) -> Event:
    tenant = "other" if rng.random() < 0.1 else PARSER.tenant
    key = key_bytes(ProductKey(tenant, id))
    kind = rng.choices(("put", "patch", "delete", "tombstone"), (50, 32, 9, 4))[0]
    if kind == "tombstone":
        return Event(at, topic, key, None, version)
    body: dict[str, object] = {"op": kind, "id": id, "version": version}
    if tenant != PARSER.tenant or rng.random() < 0.2:
        body["tenant"] = tenant
    if rng.random() < 0.1:
        del body["version"]  # the record's timestamp replaces it
    if kind == "put":
        body["title"] = rng.choices(("red mug", "blue mug", "lamp", POISON, CURSED), (30, 30, 30, 6, 4))[0]
        body["images"] = rng.choice(([], ["http://a/1.jpg"], ["http://a/2.jpg", "http://a/1.jpg"]))
    if kind == "patch" and rng.random() < 0.04:
        body["attributes"] = {CURSED: "yes"}
    elif kind in ("put", "patch"):
        body["offer"] = _random_subset(rng, {"price": (1, 2.5, 3, None), "available": (True, False, None)})
        body["attributes"] = _random_subset(rng, {"color": ("red", ["red", "blue"], None), "size": ("S", 4, None)})
    return Event(at, topic, key, body, version)


def _random_subset(rng: random.Random, choices: dict[str, tuple[object, ...]]) -> dict[str, object]:
    return {name: rng.choice(values) for name, values in choices.items() if rng.random() < 0.5}


def _bad(rng: random.Random, at: float, topic: str, version: int) -> Event:
    key = key_bytes(ProductKey(PARSER.tenant, "mug"))
    body: dict[str, object] | bytes | None = rng.choice(
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
    return Event(at, topic, None if body is None else key, body, version, bad=True)
