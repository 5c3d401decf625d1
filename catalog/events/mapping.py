"""Maps a shop's own records (change-data envelopes or flat rows) to product events, as a mapping file configures.

`catalog.events.mapping_file` reads the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog.domain.json_text import json_excerpt
from catalog.events.values import Price, read_availability, read_flag, read_price, read_version

OPERATIONS = ("put", "patch", "delete")
ENVELOPES = ("none", "debezium")
VERSION_KINDS = ("time", "counter")
CHANGES = ("c", "r", "u", "d")
ROW = "row."
# Debezium writes this for a large column that a change did not touch and that the database's log therefore omits.
UNAVAILABLE = "__debezium_unavailable_value"


class MappingError(ValueError):
    """The mapping cannot be applied to a record. The text starts with the key of the mapping and gives the reason."""


@dataclass(frozen=True, slots=True)
class RecordMapping:
    """The column of a row for each field of an event. A column is a path, with dots into objects.

    - `envelope`: "none" for plain rows, "debezium" for Debezium's envelope, with or without its schema
    - `version`: a path in the envelope, such as source.lsn; a path in the row if it begins with "row."
    - `version_is`: "time" for milliseconds since the epoch or ISO times, "counter" for other integers
    - `deleted`: a column that is true if the row is deleted
    - `attributes`: maps attributes to columns; with `keep_other_columns` all unnamed columns become attributes, too
    - `price_divisor`: divides the price, such as 100 for a price in cents
    """

    id: str
    title: str | None = None
    images: tuple[str, ...] = ()
    price: str | None = None
    price_divisor: float = 1
    currency: str | None = None
    available: str | None = None
    version: str | None = None
    version_is: str | None = None
    tenant: str | None = None
    deleted: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    keep_other_columns: bool = False
    envelope: str = "none"

    def event(self, value: object) -> object:
        """The product event of a record's JSON value. A product event is returned as it is. Raises MappingError."""
        if isinstance(value, dict) and value.get("op") in OPERATIONS and "id" in value:
            return value
        if self.envelope == "none":
            row = envelope = _object(value, "a row")
            deleted = False
        else:
            envelope = _unwrapped(value)
            row, deleted = _changed_row(envelope)
        return self._event(row, envelope, deleted=deleted or self._flag("deleted", row, read_flag) is True)

    def key(self, key: object) -> object:
        """The id in the JSON of a record's key, or in its `payload`; None if there is none."""
        if isinstance(key, dict) and isinstance(key.get("payload"), dict):
            key = key["payload"]
        return _at(key, self.id) if isinstance(key, dict) else None

    def source(self, name: str) -> str | None:
        """The column that a field of the event is read from; None if the mapping names none."""
        value = getattr(self, name.removeprefix("offer.").partition(".")[0], None)
        return ", ".join(value) if isinstance(value, tuple) else value if isinstance(value, str) else None

    def _event(self, row: dict[str, Any], envelope: dict[str, Any], *, deleted: bool) -> dict[str, Any]:
        event: dict[str, Any] = {"op": "delete" if deleted else "put", "id": self._value("id", row)}
        if event["id"] is None:
            raise MappingError(f"id: there is nothing in {self.id} of the row")
        if self.tenant is not None:
            event["tenant"] = _digits(self._value("tenant", row))
        if self.version is not None:
            event["version"] = self._version(row, envelope)
        if deleted:
            return event
        price, currency = self._price(row), self._value("currency", row)
        offer = {
            "price": price.amount / self.price_divisor if price else None,
            "currency": price.currency if price and currency is None else currency,
            "available": self._flag("available", row, read_availability),
        }
        content = {"title": self._value("title", row), "images": self._images(row)}
        return event | content | {"attributes": self._attributes(row), "offer": offer}

    def _value(self, key: str, row: Mapping[str, Any]) -> Any:
        """The value of the column that the mapping's `key` names; None if it names no column or the column is empty."""
        column = getattr(self, key)
        return None if column is None else _value_at(row, column, key)

    def _version(self, row: dict[str, Any], envelope: dict[str, Any]) -> int:
        path = self.version or ""
        source = row if path.startswith(ROW) else envelope
        value = _value_at(source, path.removeprefix(ROW), "version")
        if value is None:
            raise MappingError(f"version: there is nothing in {path}")
        times = self.version_is == "time"
        if (version := read_version(value, times=times)) is None:
            expected = "an integer from 0 or a time in ISO form" if times else "an integer from 0"
            raise MappingError(f"version: {path} is {json_excerpt(value)}, not {expected}")
        return version

    def _images(self, row: Mapping[str, Any]) -> list[Any]:
        urls: list[Any] = []
        for column in self.images:
            value = _value_at(row, column, "images")
            if isinstance(value, str) and value.lstrip().startswith("["):
                value = _json_list(value, column)
            urls.extend(value if isinstance(value, list) else [] if value in (None, "") else [value])
        return urls

    def _price(self, row: Mapping[str, Any]) -> Price | None:
        value = self._value("price", row)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if (price := read_price(value)) is None:
            raise MappingError(f'price: {self.price} is {json_excerpt(value)}, not a number or text like "43.67 EUR"')
        return price

    def _flag(self, key: str, row: Mapping[str, Any], read: Callable[[object], bool | None]) -> bool | None:
        value = self._value(key, row)
        if value is None:
            return None
        if (flag := read(value)) is None:
            raise MappingError(f"{key}: {getattr(self, key)} is {json_excerpt(value)}, not true, false or a number")
        return flag

    def _attributes(self, row: Mapping[str, Any]) -> dict[str, Any]:
        others: dict[str, Any] = {}
        if self.keep_other_columns:
            named = {column.partition(".")[0] for column in self._columns()} | set(self._columns())
            others = {name: value for name, value in row.items() if name not in named and value != UNAVAILABLE}
        return others | {name: _value_at(row, column, f"attributes.{name}") for name, column in self.attributes.items()}

    def _columns(self) -> Iterable[str]:
        single = (self.id, self.title, self.price, self.currency, self.available, self.tenant, self.deleted)
        version = self.version.removeprefix(ROW) if self.version else None
        return [c for c in (*single, version, *self.images, *self.attributes.values()) if c]


def _unwrapped(value: object) -> dict[str, Any]:
    """The envelope, without the schema that may accompany it."""
    envelope = _object(value, "an envelope")
    if "payload" in envelope and "op" not in envelope:
        envelope = _object(envelope["payload"], "the payload of an envelope")
    return envelope


def _changed_row(envelope: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The row that an envelope describes, and whether it was deleted."""
    if (op := envelope.get("op")) not in CHANGES:
        raise MappingError(f"envelope: op is {json_excerpt(op)}, not one of {', '.join(CHANGES)}")
    before, after = envelope.get("before"), envelope.get("after")
    deleted = op == "d" or after is None
    row = after if not deleted or before is None else before
    if row is None:
        raise MappingError("envelope: before and after are null; make the database log at least the key of a row")
    return _object(row, "a row of an envelope"), deleted


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MappingError(f"envelope: {what} is a JSON object, not {json_excerpt(value)}")
    return value


def _at(row: Mapping[str, Any], path: str) -> Any:
    """The value at a path: the column of exactly this name, otherwise dot by dot; None if there is none."""
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _value_at(row: Mapping[str, Any], path: str, key: str) -> Any:
    value = _at(row, path)
    if value == UNAVAILABLE:
        raise MappingError(
            f"{key}: the database's log has no value of {path}, which did not change; make it log full rows "
            "(in PostgreSQL REPLICA IDENTITY FULL)"
        )
    return value


def _json_list(text: str, column: str) -> Any:
    """A list that a column contains as JSON text."""
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # raises for half of a surrogate pair
    except (ValueError, RecursionError):
        raise MappingError(
            f"images: {column} is {json_excerpt(text)}, which begins like a JSON list but is not one"
        ) from None
    return value


def _digits(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else value
