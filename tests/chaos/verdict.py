"""Whether the promises were kept: what is in the index and in quarantine against what the shop said."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.domain.image_state import ImageState
from catalog.domain.product import ProductKey
from tests.chaos.photos import outcomes
from tests.chaos.quarantine import Mark
from tests.simulation.oracle import OFFER, Expected, fold, may_be_refused, must_be_refused
from tests.simulation.schedule import Event

Vectors = Mapping[str, NDArray[np.float32]]
Looks = Mapping[tuple[str, int | None], Vectors]
Place = tuple[int, int]
# At its start a worker does not wait for an outage to pass, and it may find the broker lost for good.
EXCUSED = re.compile(r"broker at \S+ (does not answer|was lost)|Qdrant (did not|has failed)")
# Half-width floats round a little differently in every size of batch.
ALIKE = 0.995


class Found:
    """A point as the index gives it."""

    def __init__(self, payload: Mapping[str, Any], vectors: Vectors) -> None:
        self.payload = payload
        self.vectors = vectors

    @property
    def key(self) -> ProductKey:
        return ProductKey(self.payload["tenant"], self.payload["id"])

    @property
    def product(self) -> Expected:
        p = self.payload
        fields = {name: p[name] for name in OFFER if p.get(name) is not None}
        fields |= {f"attributes.{name}": value for name, value in (p.get("attributes") or {}).items()}
        return Expected(
            title=p["title"] if p["live"] else None,
            images=list(p["images"]) if p["live"] else None,
            content_version=p.get("content_version"),
            offer_version=p.get("offer_version"),
            fields=fields,
        )


def index_faults(
    points: Iterable[Found], events: Iterable[Event], looks: Looks, *, lenient: bool, searched: set[ProductKey]
) -> list[str]:
    """What is wrong in the index, a sentence each: lost, stale, resurrected, or encoded from something else.

    `looks` are the vectors of every title with every picture; `searched` are the products that a search sees.
    """
    expected = fold(events)
    there = {point.key: point for point in points}
    said = [f"{key} is lost; it should be {expected[key]}" for key in sorted(expected.keys() - there.keys())]
    for key, point in sorted(there.items(), key=lambda item: item[0]):
        if point.product != expected.get(key):
            said.append(f"{key} is {point.product}; it should be {expected.get(key)}")
        elif point.payload["live"]:
            said += _look_faults(point, looks, lenient=lenient)
        elif point.vectors:
            said.append(f"{key} is deleted and has vectors")
    live = {key for key, product in expected.items() if product.title is not None}
    said += [f"{key} is deleted and a search sees it" for key in sorted(searched - live)]
    said += [f"{key} is live and no search sees it" for key in sorted(live - searched)]
    return said


def _look_faults(point: Found, looks: Looks, *, lenient: bool) -> list[str]:
    state = ImageState(point.payload["image_state"])
    pictures = [n for s, n in outcomes(point.payload["images"], lenient=lenient) if s is state]
    if not pictures:
        return [f"{point.key} has image_state {state.value}; its photos are {point.payload['images']}"]
    for number in pictures:
        made = looks[point.payload["title"], number]
        if made.keys() == point.vectors.keys() and all(float(made[n] @ point.vectors[n]) > ALIKE for n in made):
            return []
    return [f"the vectors of {point.key} are not those of {point.payload['title']!r} with picture {pictures}"]


def quarantine_faults(held: Collection[Mark], said: Mapping[Event, Place], topics: Mapping[str, str]) -> list[str]:
    """What is missing in quarantine, and what is there that is good.

    `said` has the partition and offset of each event; `topics` the names of both topics. The bytes of a bad event may
    be held for another place too: a shop that was not answered says it again.
    """
    there = {(mark.topic, mark.partition, mark.offset) for mark in held}
    may = {(topics[e.topic], e.key, e.value, e.timestamp) for e in said if may_be_refused(e)}
    lost = [f"{e.value!r} at {said[e]}" for e in must_be_refused(said) if (topics[e.topic], *said[e]) not in there]
    good = [str(mark) for mark in held if (mark.topic, mark.key, mark.value, mark.timestamp) not in may]
    return [f"bad, and not in quarantine: {one}" for one in lost] + [f"good, and in quarantine: {one}" for one in good]


def exit_faults(exits: Iterable[str], *, outage: bool) -> list[str]:
    """The last words of workers that may not end so. `outage`: broker or index were away, which a worker may say."""
    return [f"a worker ended: {words}" for words in exits if not (outage and EXCUSED.search(words))]
