"""The changes of a product (put, patch, delete), and the stamps that order them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from catalog.domain.product import Attribute, Product, ProductKey


class VersionStamp(NamedTuple):
    """The position of a change in the shop's own order. The later stamp wins, whatever the order of arrival.

    `rank` and `tie` break ties between equal versions deterministically. A delete beats a put. Between two changes
    of one kind the larger digest of the content wins.
    """

    version: int
    rank: int
    tie: str


PUT_RANK, DELETE_RANK = 0, 1


# A module constant, because constructing an encoder takes longer than using it.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=list)


def digest(value: object) -> str:
    """16 hex digits that identify a JSON value, whatever the order of its keys."""
    canonical = _CANONICAL.encode(value)
    return blake2b(canonical.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Put:
    """Replaces the whole product, as of `version`."""

    product: Product
    version: int

    @property
    def key(self) -> ProductKey:
        return self.product.key

    @property
    def stamp(self) -> VersionStamp:
        p = self.product
        offer = [p.offer.price, p.offer.currency, p.offer.available]
        fields = [p.content.title, p.content.images, dict(p.attributes), offer]
        return VersionStamp(self.version, PUT_RANK, digest(fields))


@dataclass(frozen=True, slots=True)
class Patch:
    """Changes some fields of the offer and the attributes, as of `version`.

    `fields` maps "price", "currency", "available" or "attributes.NAME" to the new value; None removes the value.
    """

    key: ProductKey
    version: int
    fields: Mapping[str, Attribute | None]


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes the product, as of `version`."""

    key: ProductKey
    version: int

    @property
    def stamp(self) -> VersionStamp:
        return VersionStamp(self.version, DELETE_RANK, "")


Change = Put | Patch | Delete
