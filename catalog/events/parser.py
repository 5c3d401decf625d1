"""Bytes to changes: the parser of product events, and the JSON Schema it keeps to.

What the schema refuses the parser refuses, with a sentence that names the field; `event.schema.json` is the contract,
and the tests hold the two together.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from collections.abc import Mapping as Table
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

from catalog.domain.attributes import MAX_INT, attribute_of
from catalog.domain.change import Change, Delete, Patch, Put
from catalog.domain.json_text import kind, show
from catalog.domain.product import Attribute, Content, Offer, Product, ProductKey
from catalog.domain.record import Record, Reject, Stage
from catalog.domain.state import ATTRIBUTE, OFFER_FIELDS
from catalog.events.mapping import MappingError, RecordMapping
from catalog.events.version_skew import version_skew_error

CONTRACT_FIELDS = ("op", "id", "tenant", "version", "title", "images", "attributes", "offer")


@dataclass(frozen=True, slots=True)
class ParserConfig:
    """What the settings add to the schema: whose products those without a tenant are, and how records become events.

    `max_ahead_ms` is how far ahead of now a version may be that is a time: one far ahead would win over every later
    change of its product. None allows any.
    """

    tenant: str = "default"
    mapping: RecordMapping | None = None
    max_ahead_ms: int | None = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class ParsedEvent:
    """One event read. `dropped` names the fields that could not be kept, for the count."""

    change: Change
    record: Record
    dropped: tuple[str, ...] = ()


class _BadEvent(Exception):
    pass


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the product event."""
    return cast(dict[str, Any], json.loads(files("catalog.events").joinpath("event.schema.json").read_text("utf-8")))


def key_bytes(key: ProductKey) -> bytes:
    """The Kafka key of a product: a JSON array of tenant and id, so that no two products share one."""
    return json.dumps([key.tenant, key.id], ensure_ascii=False, separators=(",", ":")).encode()


def parse_key(raw: bytes, contract: ParserConfig) -> ProductKey:
    """The product a Kafka key names: what `key_bytes` made, or else the plain id in the settings' tenant.

    With a mapping also an object with the column of the id. Raises ValueError where the bytes are not UTF-8 or name
    nothing.
    """
    text = raw.decode("utf-8")
    try:
        parts = json.loads(text)
    except ValueError:
        parts = None
    if isinstance(parts, list) and len(parts) == 2 and all(isinstance(p, str) and p for p in parts):
        return ProductKey(parts[0], parts[1])
    if contract.mapping is not None and isinstance(parts, dict):
        id_ = contract.mapping.key(parts)
        text = str(id_) if isinstance(id_, str | int) else ""
    if isinstance(parts, str):
        text = parts
    if not text:
        raise ValueError("an empty key names no product")
    return ProductKey(contract.tenant, text)


def parse(record: Record, contract: ParserConfig, *, now_ms: int | None = None) -> ParsedEvent | Reject | None:
    """The change a record asks for, or why it cannot be read.

    `now_ms`, in milliseconds since the epoch, is what versions that are times are held against; None leaves that out.
    The result is None for the record without value that follows a delete in a stream of envelopes: the delete said it
    all, and with the version that counts.
    """
    mapping = contract.mapping
    try:
        if record.value is None:
            if mapping is not None and mapping.envelope != "none":
                return None
            parsed = ParsedEvent(_tombstone(record, contract), record)
            return _in_time(parsed, contract, now_ms, dated=False)
        said = _load(record.value)
    except _BadEvent as bad:
        return Reject(record, Stage.PARSE, str(bad))
    try:
        event = mapping.event(said) if mapping else said
        parsed = _event(event, record, contract)
    except MappingError as unmapped:
        return Reject(record, Stage.SCHEMA, f"mapping.{unmapped}")
    except _BadEvent as bad:
        return Reject(record, Stage.SCHEMA, str(bad) + (_origin(str(bad), mapping) if event is not said else ""))
    return _in_time(parsed, contract, now_ms, dated=isinstance(event, dict) and event.get("version") is not None)


def _in_time(parsed: ParsedEvent, contract: ParserConfig, now_ms: int | None, *, dated: bool) -> ParsedEvent | Reject:
    """What was parsed, unless its version is too far ahead. `dated`: the event has a version of its own."""
    counted = dated and contract.mapping is not None and contract.mapping.version_is == "counter"
    if now_ms is None or contract.max_ahead_ms is None or counted:
        return parsed
    version, most = parsed.change.version, contract.max_ahead_ms
    reason = version_skew_error(version, now_ms=now_ms, most_ms=most, stands_in=not dated)
    return parsed if reason is None else Reject(parsed.record, Stage.SCHEMA, reason)


def _origin(reason: str, mapping: RecordMapping | None) -> str:
    """Where the mapping takes the field from that a reason begins with."""
    name = reason.partition(":")[0]
    column = mapping.source(name) if mapping else None
    return f" (mapping.{name.removeprefix('offer.')} reads it from {column})" if column else ""


def named(record: Record, contract: ParserConfig) -> frozenset[ProductKey]:
    """The products a record seems to be about, by its key and by its value; for looking through what was refused."""
    keys = set()
    with suppress(ValueError):
        keys.add(parse_key(record.key or b"", contract))
    with suppress(_BadEvent):
        event = _load(record.value or b"null")
        with suppress(MappingError):
            event = contract.mapping.event(event) if contract.mapping else event
        if isinstance(event, dict):
            keys.add(ProductKey(_text(event, "tenant", 1, 128) or contract.tenant, _id(event)))
    return frozenset(keys)


def _tombstone(record: Record, contract: ParserConfig) -> Delete:
    if not record.key:
        raise _BadEvent("a record without key and value names no product to delete")
    try:
        key = parse_key(record.key, contract)
    except ValueError as error:
        raise _BadEvent(f"the key of a record without value names no product: {error}") from None
    return Delete(key, _version(None, record))


def _constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_STRICT = json.JSONDecoder(parse_constant=_constant)


def _load(value: bytes) -> object:
    try:
        event = _STRICT.decode(value.decode("utf-8"))
        if b"\\u" in value:
            json.dumps(event, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is not text
    except UnicodeDecodeError as error:
        raise _BadEvent(f"not UTF-8: byte {error.start} is {value[error.start]:#04x}") from None
    except UnicodeEncodeError:
        raise _BadEvent("a \\u escape stands for half a character") from None
    except (ValueError, RecursionError) as error:
        raise _BadEvent(f"not JSON: {error}") from None
    return event


def _event(event: object, record: Record, contract: ParserConfig) -> ParsedEvent:
    if not isinstance(event, dict):
        raise _BadEvent(f"an event is a JSON object, not {kind(event)}")
    op = event.get("op", "put")
    if op not in ("put", "patch", "delete") or not isinstance(op, str):
        raise _BadEvent(f"op: {show(op)} is none of put, patch, delete")
    key = ProductKey(_text(event, "tenant", 1, 128) or contract.tenant, _id(event))
    version = _version(event.get("version"), record)
    # Every field is read whatever the op, so that a malformed one is never passed over.
    title, images = _text(event, "title", 0, 10_000), _images(event)
    attributes, dropped = _attributes(event)
    offer, ignored = _offer(event)
    dropped += ignored
    if op == "delete":
        return ParsedEvent(Delete(key, version), record, tuple(dropped))
    if op == "patch":
        for name, given in (("title", title), ("images", images)):
            if given is not None:
                raise _BadEvent(f"{name}: a patch changes offer and attributes only; send a put to change the {name}")
        fields: dict[str, Attribute | None] = {**offer, **{ATTRIBUTE + n: v for n, v in attributes.items()}}
        return ParsedEvent(Patch(key, version, fields), record, tuple(dropped))
    if not (title and title.strip()) and not images:
        raise _BadEvent("title: a put needs a title that is not blank, or an image, to be found by")
    content = Content((title or "").strip(), tuple(images or ()))
    said = {n: v for n, v in attributes.items() if v is not None}
    product = Product(key, content, said, Offer(**cast(dict[str, Any], offer)))
    return ParsedEvent(Put(product, version), record, tuple(dropped))


def _id(event: Table[str, object]) -> str:
    if "id" not in event:
        raise _BadEvent("id: missing; every event names its product")
    value = event["id"]
    if isinstance(value, str) and 1 <= len(value) <= 512:
        return value
    whole = _whole(value)
    if whole is not None and -MAX_INT - 1 <= whole <= MAX_INT:
        return str(whole)
    raise _BadEvent(f"id: {show(value)} is not a string of 1 to 512 characters, nor a 64-bit integer")


def _version(value: object, record: Record) -> int:
    if value is None:
        if record.timestamp < 0:
            raise _BadEvent("version: missing, and the record has no timestamp to stand for it")
        return record.timestamp
    whole = _whole(value)
    if whole is None or not 0 <= whole <= MAX_INT:
        raise _BadEvent(f"version: {show(value)} is not an integer from 0 to {MAX_INT}")
    return whole


def _text(event: Table[str, object], name: str, least: int, most: int) -> str | None:
    value = event.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not least <= len(value) <= most:
        raise _BadEvent(f"{name}: {show(value)} is not a string of {least} to {most} characters")
    return value


def _images(event: Table[str, object]) -> list[str] | None:
    value = event.get("images")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > 64:
        raise _BadEvent(f"images: {show(value)} is not a list of at most 64 URLs")
    for position, url in enumerate(value):
        if not isinstance(url, str) or not url:
            raise _BadEvent(f"images: entry {position} is {show(url)}, not a URL")
    return value


def _attributes(event: Table[str, object]) -> tuple[dict[str, Attribute | None], list[str]]:
    """What is kept as attributes (unknown fields of the event first), and the names of what cannot be."""
    given = event.get("attributes")
    if given is not None and not isinstance(given, dict):
        raise _BadEvent(f"attributes: {show(given)} is not an object")
    unknown = {name: value for name, value in event.items() if name not in CONTRACT_FIELDS}
    kept: dict[str, Attribute | None] = {}
    dropped = []
    for name, value in (unknown | (given or {})).items():
        try:
            kept[name] = attribute_of(value)
        except ValueError:
            dropped.append(name)
    return kept, dropped


def _offer(event: Table[str, object]) -> tuple[dict[str, Attribute | None], list[str]]:
    given = event.get("offer")
    if given is None:
        return {}, []
    if not isinstance(given, dict):
        raise _BadEvent(f"offer: {show(given)} is not an object")
    allowed: dict[str, tuple[Callable[[Any], bool], str]] = {
        "price": (_is_price, "a number from 0 to 1e15"),
        "currency": (lambda v: isinstance(v, str) and 1 <= len(v) <= 8, "a string of 1 to 8 characters"),
        "available": (lambda v: isinstance(v, bool), "true or false"),
    }
    for name, (right, what) in allowed.items():
        if given.get(name) is not None and not right(given[name]):
            raise _BadEvent(f"offer.{name}: {show(given[name])} is not {what}")
    fields = {n: float(v) if n == "price" and v is not None else v for n, v in given.items() if n in OFFER_FIELDS}
    return fields, [f"offer.{n}" for n in given if n not in OFFER_FIELDS]


def _is_price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e15


def _whole(value: object) -> int | None:
    """The integer a JSON number stands for (1.0 is one), None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None
