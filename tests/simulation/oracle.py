"""The expected state: a fold of all events by version, independent of the catalog's own state.

It shares only the product key with `catalog`, and the digest that breaks ties between equal versions.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from catalog.domain.change import digest
from catalog.domain.product import ProductKey
from tests.simulation.schedule import CURSED, PARSER, POISON, Event

OFFER = ("price", "currency", "available")


@dataclass(frozen=True, slots=True)
class GoodEvent:
    """A good event with its version, and the tie-breaker between equal versions."""

    op: str
    key: ProductKey
    version: int
    tie: str
    title: str
    images: list[str]
    fields: dict[str, object]

    @property
    def stamp(self) -> tuple[int, bool, str]:
        return self.version, self.op == "delete", self.tie

    @property
    def refused(self) -> bool:
        """Whether the encoder or the index must refuse it."""
        return self.title in (POISON, CURSED) or f"attributes.{CURSED}" in self.fields


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected state of a product. `title` and `images` are None if searches must not find it."""

    title: str | None = None
    images: list[str] | None = None
    content_version: int | None = None
    offer_version: int | None = None
    fields: dict[str, object] = field(default_factory=dict)


@lru_cache(maxsize=1024)
def read(event: Event) -> GoodEvent:
    """A good event, with the defaults of docs/events.md for missing fields."""
    if event.body is None:
        tenant, id = json.loads(event.key or b"")
        return GoodEvent("delete", ProductKey(tenant, id), event.timestamp, "", "", [], {})
    body = event.body
    assert isinstance(body, dict)
    op = str(body["op"])
    offer = {n: float(v) if n == "price" and v is not None else v for n, v in body.get("offer", {}).items()}
    attributes = body.get("attributes", {})
    title, images = body.get("title", ""), body.get("images", [])
    # In a put null means no value; in a patch null removes the value.
    values = {n: v for n, v in attributes.items() if v is not None or op == "patch"}
    tie = digest([title, images, values, [offer.get(n) for n in OFFER]]) if op == "put" else ""
    fields = offer | {f"attributes.{n}": v for n, v in values.items()}
    key = ProductKey(body.get("tenant", PARSER.tenant), body["id"])
    return GoodEvent(op, key, body.get("version", event.timestamp), tie, title, images, fields)


def fold(events: Iterable[Event]) -> dict[ProductKey, Expected]:
    """The expected state of every product that must have a point, live or not."""
    by_key: defaultdict[ProductKey, list[GoodEvent]] = defaultdict(list)
    for event in events:
        if not event.bad and not (good := read(event)).refused:
            by_key[good.key].append(good)
    return {key: product for key, events in by_key.items() if (product := _product(events)) != Expected()}


def must_be_refused(events: Iterable[Event]) -> list[Event]:
    """The events that must be in quarantine in any interleaving: bad events, and refused ones that would win.

    A refused event that loses to a newer put or delete is in quarantine only if it was processed first.
    """
    events = list(events)
    good = [(e, read(e)) for e in events if not e.bad]
    bases: dict[ProductKey, tuple[int, bool, str]] = {}
    for _, event in good:
        if event.op != "patch" and not event.refused:
            bases[event.key] = max(bases.get(event.key, event.stamp), event.stamp)
    wins = [e for e, event in good if event.refused and (event.key not in bases or _beats(event, bases[event.key]))]
    return [e for e in events if e.bad] + wins


def _beats(event: GoodEvent, base: tuple[int, bool, str]) -> bool:
    return event.version >= base[0] if event.op == "patch" else event.stamp > base


def may_be_refused(event: Event) -> bool:
    return event.bad or read(event).refused


def may_be_encoded(event: Event) -> bool:
    return not event.bad and read(event).op == "put"


def _product(events: list[GoodEvent]) -> Expected:
    base = max((s for s in events if s.op != "patch"), key=lambda s: s.stamp, default=None)
    patches = [s for s in events if s.op == "patch" and s.fields and (base is None or s.version >= base.version)]
    fields = dict(base.fields) if base else {}
    written = [(p.version, digest(value), name, value) for p in patches for name, value in p.fields.items()]
    for _, _, name, value in sorted(written, key=lambda w: w[:2]):
        fields[name] = value
    versions = [s.version for s in (*patches, *([base] if base else []))]
    live = base is not None and base.op == "put"
    return Expected(
        title=base.title if base and live else None,
        images=base.images if base and live else None,
        content_version=base.version if base else None,
        offer_version=max(versions, default=None),
        fields={name: value for name, value in fields.items() if value is not None},
    )
