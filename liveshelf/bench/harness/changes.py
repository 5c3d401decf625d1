"""A day's changes of a loaded catalogue, twice: as liveshelf's events, and as whole products for who knows no patch."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from streams.publish.publisher import Event

PATCHES, RESENT = 0.60, 0.25  # and the rest is new or changed content
NEW = 0.5  # of the rest: a product of its own; the other half is a new title


@dataclass(frozen=True, slots=True)
class Change:
    """One change: the event that says it, and the product as it is after it."""

    event: Event
    whole: Event
    encodes: bool


def patch(product: Event, price: float, version: int) -> Event:
    """A new price."""
    return {"op": "patch", "id": product["id"], "version": version, "offer": {"price": price}}


def mix(
    catalogue: Sequence[Event], count: int, *, version: int, fresh: Iterable[Event] = (), seed: int = 1
) -> Iterator[Change]:
    """`count` changes: 60 % prices, 25 % products sent again as they are, 15 % new products and new content.

    `catalogue` is what is loaded. New content has title and photo of the next of `fresh`; when that is at its end, of a
    product there is, with another title. Versions ascend from `version` + 1.
    """
    rng = random.Random(seed)  # noqa: S311 -- a benchmark's
    more = iter(fresh)
    now = [dict(product) for product in catalogue]
    for number in range(1, count + 1):
        at = rng.randrange(len(now))
        kind = rng.random()
        product = now[at] | {"version": version + number}
        if kind < PATCHES:
            price = round(rng.uniform(1, 500), 2)
            product["offer"] = {**(product.get("offer") or {}), "price": price}
            now[at] = product
            yield Change(patch(product, price, version + number), product, encodes=False)
        elif kind < PATCHES + RESENT:
            now[at] = product
            yield Change(product, product, encodes=False)
        else:
            other = next(more, {"title": f"{product.get('title') or ''} {number}"})
            product |= {name: other[name] for name in ("title", "images") if name in other}
            if rng.random() < NEW:
                product["id"] = f"new-{number}"
                now.append(product)
            else:
                now[at] = product
            yield Change(product, product, encodes=True)


def now_ms() -> int:
    """A version that is a time: milliseconds since the epoch."""
    return round(time.time() * 1000)
