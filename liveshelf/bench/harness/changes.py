"""A day's changes of a loaded catalogue, as liveshelf events and as full products for a pipeline without patches."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from streams.publish.publisher import Event

PATCHES, RESENT = 0.60, 0.25  # the rest is new or changed content
NEW = 0.5  # of the rest: new products; the other half are new titles


@dataclass(frozen=True, slots=True)
class Change:
    """One change: its event, and the full product after it. `encodes` if the change needs the encoder."""

    event: Event
    product: Event
    encodes: bool


def patch(product: Event, price: float, version: int) -> Event:
    """A patch event with a new price."""
    return {"op": "patch", "id": product["id"], "version": version, "offer": {"price": price}}


def mix(
    catalogue: Sequence[Event], count: int, *, version: int, fresh: Iterable[Event] = (), seed: int = 1
) -> Iterator[Change]:
    """Yields `count` changes: 60 % prices, 25 % unchanged products, 15 % new products and new content.

    `catalogue` has the loaded products. New content takes title and photo from the next product of `fresh`. After the
    last one, it keeps the product's photo and changes the title. Versions ascend from `version` + 1.
    """
    rng = random.Random(seed)  # noqa: S311 -- a benchmark's
    new_contents = iter(fresh)
    current = [dict(product) for product in catalogue]
    for number in range(1, count + 1):
        index = rng.randrange(len(current))
        kind = rng.random()
        product = current[index] | {"version": version + number}
        if kind < PATCHES:
            price = round(rng.uniform(1, 500), 2)
            product["offer"] = {**(product.get("offer") or {}), "price": price}
            current[index] = product
            yield Change(patch(product, price, version + number), product, encodes=False)
        elif kind < PATCHES + RESENT:
            current[index] = product
            yield Change(product, product, encodes=False)
        else:
            other = next(new_contents, {"title": f"{product.get('title') or ''} {number}"})
            product |= {name: other[name] for name in ("title", "images") if name in other}
            if rng.random() < NEW:
                product["id"] = f"new-{number}"
                current.append(product)
            else:
                current[index] = product
            yield Change(product, product, encodes=True)


def now_ms() -> int:
    """The time as a version: milliseconds since the epoch."""
    return round(time.time() * 1000)
