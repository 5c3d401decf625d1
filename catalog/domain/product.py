"""The nouns of a shop: what a product is, and how it is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
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


class ImageState(StrEnum):
    """What became of a product's photo when it was last encoded."""

    OK = "ok"
    NONE = "none"  # the product names no image
    MISSING = "missing"  # the host says there is no such image (404, 410, no such file)
    UNAVAILABLE = "unavailable"  # the host did not answer or failed: can heal
    BROKEN = "broken"  # bytes came, but they are not an image that can be decoded
    TOO_LARGE = "too_large"  # over the cap on bytes or on pixels
    BLOCKED = "blocked"  # an address or scheme that policy does not allow
    PLACEHOLDER = "placeholder"  # a picture that many products share, such as "no image available"
