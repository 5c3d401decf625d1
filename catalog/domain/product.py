"""A product: its key, content, attributes and offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Scalar = str | int | float | bool
Attribute = Scalar | tuple[Scalar, ...]


class ProductKey(NamedTuple):
    """Identifies a product: an id is unique within its tenant only."""

    tenant: str
    id: str


@dataclass(frozen=True, slots=True)
class Offer:
    """The fields that change often and are never encoded. None: the shop gave no value."""

    price: float | None = None
    currency: str | None = None
    available: bool | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What the encoder reads: a title and the photo references, in the shop's order."""

    title: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """A product as a shop describes it."""

    key: ProductKey
    content: Content
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    offer: Offer = Offer()
