"""Checks the promises: compares index and quarantine with the events of the shop."""

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
ExpectedVectors = Mapping[tuple[str, int | None], Vectors]
Place = tuple[int, int]
# A worker does not wait for the end of an outage at its start, and may lose the broker for good.
OUTAGE_MESSAGE = re.compile(r"broker at \S+ (does not answer|was lost)|Qdrant (did not|has failed)")
# Half-precision floats round slightly differently in batches of different sizes.
MIN_COSINE = 0.995


class IndexedPoint:
    """A point as read from the index."""

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
    points: Iterable[IndexedPoint],
    events: Iterable[Event],
    vectors: ExpectedVectors,
    *,
    lenient: bool,
    searched: set[ProductKey],
) -> list[str]:
    """The errors of the index, a sentence each: lost, stale, resurrected, or encoded from something else.

    `vectors` are the expected vectors of every title with every picture; `searched` are the products in a search.
    """
    expected = fold(events)
    indexed = {point.key: point for point in points}
    errors = [f"{key} is lost; it should be {expected[key]}" for key in sorted(expected.keys() - indexed.keys())]
    for key, point in sorted(indexed.items(), key=lambda item: item[0]):
        if point.product != expected.get(key):
            errors.append(f"{key} is {point.product}; it should be {expected.get(key)}")
        elif point.payload["live"]:
            errors += _vector_faults(point, vectors, lenient=lenient)
        elif point.vectors:
            errors.append(f"{key} is deleted and has vectors")
    live = {key for key, product in expected.items() if product.title is not None}
    errors += [f"{key} is deleted and a search sees it" for key in sorted(searched - live)]
    errors += [f"{key} is live and no search sees it" for key in sorted(live - searched)]
    return errors


def _vector_faults(point: IndexedPoint, vectors: ExpectedVectors, *, lenient: bool) -> list[str]:
    state = ImageState(point.payload["image_state"])
    pictures = [n for s, n in outcomes(point.payload["images"], lenient=lenient) if s is state]
    if not pictures:
        return [f"{point.key} has image_state {state.value}; its photos are {point.payload['images']}"]
    for number in pictures:
        expected = vectors[point.payload["title"], number]
        if expected.keys() == point.vectors.keys() and all(
            float(expected[n] @ point.vectors[n]) > MIN_COSINE for n in expected
        ):
            return []
    return [f"the vectors of {point.key} are not those of {point.payload['title']!r} with picture {pictures}"]


def quarantine_faults(
    quarantined: Collection[Mark], sent: Mapping[Event, Place], topics: Mapping[str, str]
) -> list[str]:
    """Bad records that are missing in quarantine, and good ones in it.

    `sent` has the partition and offset of each event, `topics` the names of both topics. The bytes of a bad event may
    be in quarantine for another offset too, because a shop sends an event again if it gets no confirmation.
    """
    places = {(mark.topic, mark.partition, mark.offset) for mark in quarantined}
    allowed = {(topics[e.topic], e.key, e.value, e.timestamp) for e in sent if may_be_refused(e)}
    lost = [f"{e.value!r} at {sent[e]}" for e in must_be_refused(sent) if (topics[e.topic], *sent[e]) not in places]
    good = [str(mark) for mark in quarantined if (mark.topic, mark.key, mark.value, mark.timestamp) not in allowed]
    return [f"bad, and not in quarantine: {record}" for record in lost] + [
        f"good, and in quarantine: {record}" for record in good
    ]


def exit_faults(exits: Iterable[str], *, outage: bool) -> list[str]:
    """The messages of workers that must not end so. `outage`: broker or index were away, which is an allowed reason."""
    return [f"a worker ended: {message}" for message in exits if not (outage and OUTAGE_MESSAGE.search(message))]
