"""Checks of the delivery guarantees."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from catalog.domain.image_state import ImageState
from catalog.domain.product import Content, ProductKey
from catalog.domain.record import Record
from tests.simulation.broker import Broker, TopicPartition
from tests.simulation.oracle import OFFER, Expected, fold, may_be_refused, must_be_refused, read
from tests.simulation.schedule import Event
from tests.simulation.store import Point, Store
from tests.simulation.world import vectors_of


class Violation(AssertionError):
    """A guarantee was violated; the text says which."""


def check_index(store: Store, events: Iterable[Event]) -> None:
    """The index holds exactly the fold of all events by version."""
    expected = fold(events)
    for key in sorted(expected.keys() | store.points.keys()):
        if key not in store.points:
            raise Violation(f"{key} has no point; it should be {expected[key]}")
        actual = state_of(store.points[key])
        if actual != expected.get(key):
            raise Violation(f"{key} is {actual}; it should be {expected.get(key)}")


def check_point(key: ProductKey, before: Point | None, after: Point) -> None:
    """A write: its vectors match its title and photos, and no version decreases."""
    payload = after.payload
    if (payload["tenant"], payload["id"]) != tuple(key):
        raise Violation(f"the point of {key} has the key {payload['tenant']}, {payload['id']}")
    if payload["live"]:
        content = Content(payload["title"], tuple(payload["images"]))
        expected = vectors_of(content, ImageState(payload["image_state"]))
    else:
        expected = {}
    if expected.keys() != after.vectors.keys() or not all(
        np.array_equal(expected[n], after.vectors[n]) for n in expected
    ):
        raise Violation(f"the vectors of {key} are not those of {payload}")
    if before is not None:
        for name in ("content_version", "offer_version"):
            if (before.payload[name] or 0) > (payload[name] or 0):
                raise Violation(f"the {name} of {key} goes back from {before.payload[name]} to {payload[name]}")


def state_of(point: Point) -> Expected:
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


def check_quarantine(broker: Broker, quarantined: set[tuple[TopicPartition, int]]) -> None:
    """Quarantine holds exactly the records that cannot be applied."""
    for position in sorted(quarantined):
        if not may_be_refused(broker.events[position]):
            raise Violation(f"a good record is in quarantine: {broker.events[position]}")
    must = set(must_be_refused(broker.events.values()))
    for position, event in broker.events.items():
        if event in must and position not in quarantined:
            raise Violation(f"a bad record is not in quarantine: {event}")


def check_committed(
    records: list[Record], broker: Broker, store: Store, quarantined: set[tuple[TopicPartition, int]]
) -> None:
    """Nothing is committed before it is applied or in quarantine."""
    for record in records:
        position = TopicPartition(record.topic, record.partition), record.offset
        event = broker.events[position]
        if position not in quarantined and not _applied(event, store):
            raise Violation(f"committed before it was applied: {event}")


def _applied(event: Event, store: Store) -> bool:
    if event.bad:
        return False
    good = read(event)
    if good.op == "patch" and not good.fields:
        return True
    point = store.points.get(good.key)
    if point is None:
        return False
    newest = point.payload["offer_version" if good.op == "patch" else "content_version"]
    return newest is not None and newest >= good.version
