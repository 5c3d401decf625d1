"""What must have become of what the shop said: everything folded by version, without the catalog's own state.

Of `catalog` it takes the words only: what a key is, and the digest by which the events page settles equal versions.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from catalog.domain.change import digest
from catalog.domain.product import ProductKey
from tests.simulation.schedule import CONTRACT, CURSED, POISON, Event

OFFER = ("price", "currency", "available")


@dataclass(frozen=True, slots=True)
class Said:
    """A good event, read: its version, and what settles a tie with another of the same version."""

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
        """Whether no point can come of it."""
        return self.title in (POISON, CURSED) or f"attributes.{CURSED}" in self.fields


@dataclass(frozen=True, slots=True)
class Expected:
    """A product as it must be. `title` and `images` are None where it must not be on the shelf."""

    title: str | None = None
    images: list[str] | None = None
    content_version: int | None = None
    offer_version: int | None = None
    fields: dict[str, object] = field(default_factory=dict)


@lru_cache(maxsize=1024)
def read(event: Event) -> Said:
    """A good event; what it leaves out is filled in as the events page says."""
    if event.said is None:
        tenant, id = json.loads(event.key or b"")
        return Said("delete", ProductKey(tenant, id), event.timestamp, "", "", [], {})
    said = event.said
    assert isinstance(said, dict)
    op = str(said["op"])
    offer = {n: float(v) if n == "price" and v is not None else v for n, v in said.get("offer", {}).items()}
    attributes = said.get("attributes", {})
    title, images = said.get("title", ""), said.get("images", [])
    # A put that says null says nothing; a patch that says null takes the value away.
    kept = {n: v for n, v in attributes.items() if v is not None or op == "patch"}
    tie = digest([title, images, kept, [offer.get(n) for n in OFFER]]) if op == "put" else ""
    fields = offer | {f"attributes.{n}": v for n, v in kept.items()}
    key = ProductKey(said.get("tenant", CONTRACT.tenant), said["id"])
    return Said(op, key, said.get("version", event.timestamp), tie, title, images, fields)


def fold(events: Iterable[Event]) -> dict[ProductKey, Expected]:
    """Every product that must have a point, live or not."""
    by_key: defaultdict[ProductKey, list[Said]] = defaultdict(list)
    for event in events:
        if not event.bad and not (said := read(event)).refused:
            by_key[said.key].append(said)
    return {key: product for key, said in by_key.items() if (product := _product(said)) != Expected()}


def must_be_refused(events: Iterable[Event]) -> list[Event]:
    """The events that must be in quarantine whatever happens: bad ones, and those with a bad title that would win.

    One that loses to a newer put or delete is in quarantine only if it was looked at first.
    """
    events = list(events)
    good = [(e, read(e)) for e in events if not e.bad]
    bases: dict[ProductKey, tuple[int, bool, str]] = {}
    for _, said in good:
        if said.op != "patch" and not said.refused:
            bases[said.key] = max(bases.get(said.key, said.stamp), said.stamp)
    wins = [e for e, said in good if said.refused and (said.key not in bases or _beats(said, bases[said.key]))]
    return [e for e in events if e.bad] + wins


def _beats(said: Said, base: tuple[int, bool, str]) -> bool:
    return said.version >= base[0] if said.op == "patch" else said.stamp > base


def may_be_refused(event: Event) -> bool:
    return event.bad or read(event).refused


def may_be_encoded(event: Event) -> bool:
    return not event.bad and read(event).op == "put"


def _product(said: list[Said]) -> Expected:
    whole = max((s for s in said if s.op != "patch"), key=lambda s: s.stamp, default=None)
    patches = [s for s in said if s.op == "patch" and s.fields and (whole is None or s.version >= whole.version)]
    fields = dict(whole.fields) if whole else {}
    written = [(p.version, digest(value), name, value) for p in patches for name, value in p.fields.items()]
    for _, _, name, value in sorted(written, key=lambda w: w[:2]):
        fields[name] = value
    versions = [s.version for s in (*patches, *([whole] if whole else []))]
    live = whole is not None and whole.op == "put"
    return Expected(
        title=whole.title if whole and live else None,
        images=whole.images if whole and live else None,
        content_version=whole.version if whole else None,
        offer_version=max(versions, default=None),
        fields={name: value for name, value in fields.items() if value is not None},
    )
