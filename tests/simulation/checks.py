"""The promises, as checks on what is there."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from catalog.domain.image_state import ImageState
from catalog.domain.product import Content, ProductKey
from catalog.domain.record import Record
from tests.simulation.broker import Broker, Place
from tests.simulation.oracle import OFFER, Expected, fold, may_be_refused, must_be_refused, read
from tests.simulation.schedule import Event
from tests.simulation.store import Point, Store
from tests.simulation.world import vectors_of


class Broken(AssertionError):
    """A promise was not kept; the text says which."""


def check_shelf(store: Store, events: Iterable[Event]) -> None:
    """The index holds what was said, folded by version, and nothing else."""
    expected = fold(events)
    for key in sorted(expected.keys() | store.points.keys()):
        if key not in store.points:
            raise Broken(f"{key} has no point; it should be {expected[key]}")
        seen = seen_in(store.points[key])
        if seen != expected.get(key):
            raise Broken(f"{key} is {seen}; it should be {expected.get(key)}")


def check_point(key: ProductKey, before: Point | None, after: Point) -> None:
    """A write: vectors are those of the title and the photos beside them, and no version goes back."""
    payload = after.payload
    if (payload["tenant"], payload["id"]) != tuple(key):
        raise Broken(f"the point of {key} says it is {payload['tenant']}, {payload['id']}")
    if payload["live"]:
        content = Content(payload["title"], tuple(payload["images"]))
        made = vectors_of(content, ImageState(payload["image_state"]))
    else:
        made = {}
    if made.keys() != after.vectors.keys() or not all(np.array_equal(made[n], after.vectors[n]) for n in made):
        raise Broken(f"the vectors of {key} are not those of {payload}")
    if before is not None:
        for name in ("content_version", "offer_version"):
            if (before.payload[name] or 0) > (payload[name] or 0):
                raise Broken(f"the {name} of {key} goes back from {before.payload[name]} to {payload[name]}")


def seen_in(point: Point) -> Expected:
    payload = point.payload
    fields = {name: payload[name] for name in OFFER if payload[name] is not None}
    fields |= {f"attributes.{name}": value for name, value in payload["attributes"].items()}
    return Expected(
        title=payload["title"] if payload["live"] else None,
        images=payload["images"] if payload["live"] else None,
        content_version=payload["content_version"],
        offer_version=payload["offer_version"],
        fields=fields,
    )


def check_quarantine(broker: Broker, kept: set[tuple[Place, int]]) -> None:
    """Every record that cannot be applied is there, and no other."""
    for at in sorted(kept):
        if not may_be_refused(broker.said[at]):
            raise Broken(f"a good record is in quarantine: {broker.said[at]}")
    must = set(must_be_refused(broker.said.values()))
    for at, event in broker.said.items():
        if event in must and at not in kept:
            raise Broken(f"a bad record is not in quarantine: {event}")


def check_committed(records: list[Record], broker: Broker, store: Store, kept: set[tuple[Place, int]]) -> None:
    """Nothing is committed before it is applied or kept in quarantine."""
    for record in records:
        at = Place(record.topic, record.partition), record.offset
        event = broker.said[at]
        if at not in kept and not _applied(event, store):
            raise Broken(f"committed before it was applied: {event}")


def _applied(event: Event, store: Store) -> bool:
    if event.bad:
        return False
    said = read(event)
    if said.op == "patch" and not said.fields:
        return True
    point = store.points.get(said.key)
    if point is None:
        return False
    newest = point.payload["offer_version" if said.op == "patch" else "content_version"]
    return newest is not None and newest >= said.version
