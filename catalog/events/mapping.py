"""A shop's own records to product events, as a table of the settings says: change-data envelopes and flat rows.

The same for every record, and without code. What it reads is in `catalog.mapping_file`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from typing import Any

from catalog.domain.json_text import show
from catalog.events.values import Price, read_availability, read_flag, read_price, read_version

OPERATIONS = ("put", "patch", "delete")
ENVELOPES = ("none", "debezium")
VERSION_KINDS = ("time", "counter")
CHANGES = ("c", "r", "u", "d")
ROW = "row."
# What Debezium writes for a large column that a change did not touch, and that the database's log therefore lacks.
UNAVAILABLE = "__debezium_unavailable_value"


class MappingError(ValueError):
    """A record that the mapping cannot be applied to. The text begins with the mapping's key and says why."""


@dataclass(frozen=True, slots=True)
class RecordMapping:
    """Which column of a row holds what. A column is named by its path, with dots into objects.

    `envelope` says what the row comes in: "none", or Debezium's, with or without its schema. `version` is then a path
    in the envelope, as in source.lsn, and in the row where it begins with "row."; `version_is` is "time" for
    milliseconds since the epoch and ISO times, "counter" for any other integers. `deleted` is a column that is true
    where the row is gone. `attributes` is attribute to column; with `keep_other_columns` every column that is not named
    becomes an attribute. `price_divisor` makes a price of cents.
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
    attributes: Table[str, str] = field(default_factory=dict)
    keep_other_columns: bool = False
    envelope: str = "none"

    def event(self, said: object) -> object:
        """The product event of a record's JSON value; an event of the contract as it is. Raises MappingError."""
        if isinstance(said, dict) and said.get("op") in OPERATIONS and "id" in said:
            return said
        if self.envelope == "none":
            row = envelope = _object(said, "a row")
            gone = False
        else:
            envelope = _unwrapped(said)
            row, gone = _changed(envelope)
        return self._event(row, envelope, gone=gone or self._flag("deleted", row, read_flag) is True)

    def key(self, said: object) -> object:
        """The id in the JSON of a record's key, or of its `payload`; None where there is none."""
        if isinstance(said, dict) and isinstance(said.get("payload"), dict):
            said = said["payload"]
        return _at(said, self.id) if isinstance(said, dict) else None

    def source(self, name: str) -> str | None:
        """The column that a field of the event is read from; None where the mapping says nothing of it."""
        value = getattr(self, name.removeprefix("offer.").partition(".")[0], None)
        return ", ".join(value) if isinstance(value, tuple) else value if isinstance(value, str) else None

    def _event(self, row: dict[str, Any], envelope: dict[str, Any], *, gone: bool) -> dict[str, Any]:
        event: dict[str, Any] = {"op": "delete" if gone else "put", "id": self._value("id", row)}
        if event["id"] is None:
            raise MappingError(f"id: there is nothing in {self.id} of the row")
        if self.tenant is not None:
            event["tenant"] = _digits(self._value("tenant", row))
        if self.version is not None:
            event["version"] = self._version(row, envelope)
        if gone:
            return event
        price, currency = self._price(row), self._value("currency", row)
        offer = {
            "price": price.amount / self.price_divisor if price else None,
            "currency": price.currency if price and currency is None else currency,
            "available": self._flag("available", row, read_availability),
        }
        content = {"title": self._value("title", row), "images": self._images(row)}
        return event | content | {"attributes": self._attributes(row), "offer": offer}

    def _value(self, key: str, row: Table[str, Any]) -> Any:
        """What is in the column that the mapping's `key` names; None where it names none, or there is nothing."""
        column = getattr(self, key)
        return None if column is None else _held(row, column, key)

    def _version(self, row: dict[str, Any], envelope: dict[str, Any]) -> int:
        path = self.version or ""
        place = row if path.startswith(ROW) else envelope
        value = _held(place, path.removeprefix(ROW), "version")
        if value is None:
            raise MappingError(f"version: there is nothing in {path}")
        times = self.version_is == "time"
        if (version := read_version(value, times=times)) is None:
            what = "neither an integer of 0 or more nor a time in ISO form" if times else "not an integer of 0 or more"
            raise MappingError(f"version: {path} is {show(value)}, {what}")
        return version

    def _images(self, row: Table[str, Any]) -> list[Any]:
        urls: list[Any] = []
        for column in self.images:
            value = _held(row, column, "images")
            if isinstance(value, str) and value.lstrip().startswith("["):
                value = _listed(value, column)
            urls.extend(value if isinstance(value, list) else [] if value in (None, "") else [value])
        return urls

    def _price(self, row: Table[str, Any]) -> Price | None:
        value = self._value("price", row)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if (price := read_price(value)) is None:
            raise MappingError(f'price: {self.price} is {show(value)}, not a number, nor text such as "43.67 EUR"')
        return price

    def _flag(self, key: str, row: Table[str, Any], read: Callable[[object], bool | None]) -> bool | None:
        value = self._value(key, row)
        if value is None:
            return None
        if (flag := read(value)) is None:
            raise MappingError(f"{key}: {getattr(self, key)} is {show(value)}, neither true nor false nor a number")
        return flag

    def _attributes(self, row: Table[str, Any]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        if self.keep_other_columns:
            named = {column.partition(".")[0] for column in self._columns()} | set(self._columns())
            kept = {name: value for name, value in row.items() if name not in named and value != UNAVAILABLE}
        return kept | {name: _held(row, column, f"attributes.{name}") for name, column in self.attributes.items()}

    def _columns(self) -> Iterable[str]:
        single = (self.id, self.title, self.price, self.currency, self.available, self.tenant, self.deleted)
        version = self.version.removeprefix(ROW) if self.version else None
        return [c for c in (*single, version, *self.images, *self.attributes.values()) if c]


def _unwrapped(said: object) -> dict[str, Any]:
    """The envelope itself, without the schema that may travel with it."""
    envelope = _object(said, "an envelope")
    if "payload" in envelope and "op" not in envelope:
        envelope = _object(envelope["payload"], "the payload of an envelope")
    return envelope


def _changed(envelope: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The row that an envelope is about, and whether it is gone."""
    if (op := envelope.get("op")) not in CHANGES:
        raise MappingError(f"envelope: op is {show(op)}, none of {', '.join(CHANGES)}")
    before, after = envelope.get("before"), envelope.get("after")
    gone = op == "d" or after is None
    row = after if not gone or before is None else before
    if row is None:
        raise MappingError("envelope: before and after are null; let the database's log say at least the key of a row")
    return _object(row, "a row of an envelope"), gone


def _object(said: object, what: str) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise MappingError(f"envelope: {what} is a JSON object, not {show(said)}")
    return said


def _at(row: Table[str, Any], path: str) -> Any:
    """What is at a path: the column of that very name, or else dot by dot; None where there is nothing."""
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _held(row: Table[str, Any], path: str, key: str) -> Any:
    value = _at(row, path)
    if value == UNAVAILABLE:
        raise MappingError(
            f"{key}: the database's log has no value of {path}, which did not change; make it log whole rows "
            "(in PostgreSQL REPLICA IDENTITY FULL)"
        )
    return value


def _listed(text: str, column: str) -> Any:
    """A list that a column holds as JSON text."""
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is not text
    except (ValueError, RecursionError):
        raise MappingError(f"images: {column} is {show(text)}, which begins like a list and is none") from None
    return value


def _digits(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else value
