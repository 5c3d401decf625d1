"""What can happen to a product, and how two happenings are put in order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from catalog.domain.product import Attribute, Product, ProductKey


class VersionStamp(NamedTuple):
    """When something was said, in the shop's own order; the later stamp wins, whatever the arrival order.

    `rank` and `tie` settle equal versions the same way however often and in whatever order they come: a delete beats
    a put, and between two of a kind the larger digest of what was said.
    """

    version: int
    rank: int
    tie: str


PUT_RANK, DELETE_RANK = 0, 1


# Made once: to make one takes longer than to use it.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=list)


def digest(value: object) -> str:
    """16 hex digits of what a JSON value says, whatever the order of its keys."""
    canonical = _CANONICAL.encode(value)
    return blake2b(canonical.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Put:
    """The product as a whole, as of `version`."""

    product: Product
    version: int

    @property
    def key(self) -> ProductKey:
        return self.product.key

    @property
    def stamp(self) -> VersionStamp:
        p = self.product
        offer = [p.offer.price, p.offer.currency, p.offer.available]
        said = [p.content.title, p.content.images, dict(p.attributes), offer]
        return VersionStamp(self.version, PUT_RANK, digest(said))


@dataclass(frozen=True, slots=True)
class Patch:
    """Some fields of the offer and the attributes, as of `version`.

    `fields` maps "price", "currency", "available" or "attributes.NAME" to the new value; None takes the value away.
    """

    key: ProductKey
    version: int
    fields: Mapping[str, Attribute | None]


@dataclass(frozen=True, slots=True)
class Delete:
    """The product is gone as of `version`."""

    key: ProductKey
    version: int

    @property
    def stamp(self) -> VersionStamp:
        return VersionStamp(self.version, DELETE_RANK, "")


Change = Put | Patch | Delete
