"""Flat rows to product events: which column is what, and what its values mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.errors import InvalidInput
from streams.publish.row_values import (
    BadValue,
    attribute,
    availability,
    image_urls,
    is_empty,
    price_of,
    product_id,
    text,
    version_of,
)

Event = dict[str, Any]

# Names are compared in lower case without anything but letters and digits; the first that is there is taken.
ID = ("id", "sku", "productid", "itemid", "articleid", "productcode", "asin", "gtin", "ean", "uid")
TITLE = ("title", "productdisplayname", "displayname", "name", "productname", "itemname", "producttitle", "headline")
IMAGES = (
    *("images", "image", "imageurls", "imageurl", "imagelink", "additionalimagelink", "imagepath", "imagefile"),
    *("photos", "photo", "pictures", "picture", "img", "imgurl"),
)
PRICE = ("price", "saleprice", "currentprice", "listprice", "amount")
CURRENCY = ("currency", "pricecurrency", "currencycode")
AVAILABLE = ("available", "availability", "isavailable", "instock")
VERSION = ("version", "updatedat", "lastupdated", "modifiedat", "lastmodified", "updated", "modified")
TENANT = ("tenant",)


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which column holds what. Every other column of scalars becomes an attribute, except those in `leave_out`."""

    id: str
    title: str | None
    images: tuple[str, ...] = ()
    price: str | None = None
    currency: str | None = None
    available: str | None = None
    version: str | None = None
    tenant: str | None = None
    leave_out: frozenset[str] = frozenset()

    @classmethod
    def recognise(cls, names: Iterable[str]) -> ColumnMapping:
        """The columns by their names.

        Raises InvalidInput when none looks like an id, or neither a title nor an image.
        """
        plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(list(names))}

        def first(wanted: tuple[str, ...]) -> str | None:
            return next((plain[name] for name in wanted if name in plain), None)

        id_, title, images = first(ID), first(TITLE), tuple(plain[name] for name in IMAGES if name in plain)
        if id_ is None or (title is None and not images):
            missing = "an id" if id_ is None else "a title or an image"
            raise InvalidInput(
                f"None of the columns {', '.join(plain.values())} looks like {missing}: name it in the mapping."
            )
        return cls(
            id=id_,
            title=title,
            images=images,
            price=first(PRICE),
            currency=first(CURRENCY),
            available=first(AVAILABLE),
            version=first(VERSION),
            tenant=first(TENANT),
        )

    @property
    def taken(self) -> frozenset[str]:
        """The columns that are not attributes."""
        named = (self.id, self.title, self.price, self.currency, self.available, self.version, self.tenant)
        return frozenset(name for name in (*named, *self.images) if name) | self.leave_out


def event_of(row: Mapping[str, Any], columns: ColumnMapping, *, folder: Path, version: int) -> Event:
    """A put event of the data contract, of one row.

    Image bytes become data: URLs, relative image paths are taken from `folder`. Nulls, NaN and blank strings are left
    out. `version` serves where the row has none. Raises BadValue.
    """
    event: Event = {
        "op": "put",
        "id": product_id(row.get(columns.id), columns.id),
        "version": version_of(_get(row, columns.version), columns.version, version),
        "title": text(_get(row, columns.title)),
        "images": [url for name in columns.images for url in image_urls(row.get(name), folder)],
    }
    if tenant := text(_get(row, columns.tenant)):
        event["tenant"] = tenant
    if not event["title"] and not event["images"]:
        raise BadValue(f"{columns.title or 'title'} is empty, and there is no image to be found by")
    offer, attributes = _offer(row, columns)
    taken = columns.taken
    for name, value in row.items():
        if name not in taken and (kept := attribute(value)) is not None:
            attributes[name] = kept
    return event | {"attributes": attributes, "offer": offer}


def _get(row: Mapping[str, Any], name: str | None) -> Any:
    return row.get(name) if name else None


def _offer(row: Mapping[str, Any], columns: ColumnMapping) -> tuple[Event, Event]:
    """The offer, and as attributes what was meant for it but is not understood, so that nothing is lost."""
    offer: Event = {}
    odd: Event = {}
    if columns.price and not is_empty(value := row.get(columns.price)):
        if (money := price_of(value)) is None:
            odd[columns.price] = attribute(value)
        else:
            offer["price"] = money[0]
            offer |= {"currency": money[1]} if money[1] else {}
    if currency := text(_get(row, columns.currency)):
        offer["currency"] = currency
    if columns.available and not is_empty(value := row.get(columns.available)):
        if (available := availability(value)) is None:
            odd[columns.available] = attribute(value)
        else:
            offer["available"] = available
    return offer, odd
