"""Flat rows to product events: recognises the columns and reads their values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.errors import InvalidInput
from catalog.events.values import read_availability, read_price
from streams.publish.row_values import BadValue, attribute, image_urls, is_empty, product_id, text, version_of

Event = dict[str, Any]
ColumnOverrides = Mapping[str, str | tuple[str, ...]]  # field of ColumnMapping to column, a tuple for images

# Names are compared as lower-case letters and digits alone. The first of each list that a row has is taken.
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
CANDIDATES = {
    "id": ID,
    "title": TITLE,
    "price": PRICE,
    "currency": CURRENCY,
    "available": AVAILABLE,
    "version": VERSION,
    "tenant": ("tenant",),
}


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Field to column. Every other column of scalars becomes an attribute, except those in `leave_out`."""

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
    def recognise(cls, names: Iterable[str], overrides: ColumnOverrides | None = None) -> ColumnMapping:
        """Finds the column of each field by name, except the fields of `overrides`.

        A column of `overrides` serves no other field. Raises InvalidInput if no column looks like an id, or none like
        a title or an image.
        """
        fields: dict[str, Any] = dict(overrides or {})
        names = list(names)
        reserved = {column for value in fields.values() for column in (value if isinstance(value, tuple) else (value,))}
        plain = {_plain(name): name for name in reversed(names) if name not in reserved}
        for field, candidates in CANDIDATES.items():
            if field not in fields:
                fields[field] = next((plain[name] for name in candidates if name in plain), None)
        fields.setdefault("images", tuple(plain[name] for name in IMAGES if name in plain))
        if not fields["id"] or not (fields["title"] or fields["images"]):
            kind, field = ("a title or an image", "title") if fields["id"] else ("an id", "id")
            raise InvalidInput(f"None of the columns {', '.join(names)} looks like {kind}: add --map {field}=COLUMN.")
        return cls(**fields)

    @property
    def fields(self) -> dict[str, tuple[str, ...]]:
        """The columns of each field that has one, in the order of the event."""
        columns = {"id": self.id, "title": self.title, "images": self.images, "price": self.price}
        columns |= {"currency": self.currency, "available": self.available}
        columns |= {"version": self.version, "tenant": self.tenant}
        return {field: c if isinstance(c, tuple) else (c,) for field, c in columns.items() if c}

    @property
    def taken(self) -> frozenset[str]:
        """The columns that are not attributes."""
        return self.leave_out.union(*self.fields.values())


def event_of(row: Mapping[str, Any], columns: ColumnMapping, *, folder: Path, version: int) -> Event:
    """A put event of the data contract from one row.

    Image bytes become data: URLs, relative image paths are taken from `folder`. Nulls, NaN and blank strings are
    omitted. `version` is used if the row has none. Raises BadValue.
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
        if name not in taken and (scalars := attribute(value)) is not None:
            attributes[name] = scalars
    return event | {"attributes": attributes, "offer": offer}


def _get(row: Mapping[str, Any], name: str | None) -> Any:
    return row.get(name) if name else None


def _offer(row: Mapping[str, Any], columns: ColumnMapping) -> tuple[Event, Event]:
    """The offer, and as attributes its columns that cannot be read, so that no value is lost."""
    offer: Event = {}
    unread: Event = {}
    if columns.price and not is_empty(value := row.get(columns.price)):
        if (price := read_price(value)) is None:
            unread[columns.price] = attribute(value)
        else:
            offer["price"] = price.amount
            offer |= {"currency": price.currency} if price.currency else {}
    if currency := text(_get(row, columns.currency)):
        offer["currency"] = currency
    if columns.available and not is_empty(value := row.get(columns.available)):
        if (available := read_availability(value)) is None:
            unread[columns.available] = attribute(value)
        else:
            offer["available"] = available
    return offer, unread


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
