"""The nouns of a shop: what a product is, and how it is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Scalar = str | int | float | bool
Attribute = Scalar | tuple[Scalar, ...]


class ProductKey(NamedTuple):
    """What names a product: ids are unique within a tenant only."""

    tenant: str
    id: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What changes often and never reaches an encoder. None means the shop did not say."""

    price: float | None = None
    currency: str | None = None
    available: bool | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What is encoded: a title and the references of the photos, in the shop's order."""

    title: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """A product as a shop describes it."""

    key: ProductKey
    content: Content
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    offer: Offer = Offer()
