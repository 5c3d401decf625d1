"""Parses product events from bytes to changes.

`event.schema.json` is the contract. The parser rejects what the schema rejects, with a sentence that names the field;
the tests compare the two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

from catalog.domain.attributes import MAX_INT, attribute_of
from catalog.domain.change import Change, Delete, Patch, Put
from catalog.domain.json_text import json_excerpt, json_type
from catalog.domain.product import Attribute, Content, Offer, Product, ProductKey
from catalog.domain.record import Record, Reject, Stage
from catalog.domain.state import ATTRIBUTE, OFFER_FIELDS
from catalog.events.mapping import MappingError, RecordMapping
from catalog.events.version_skew import version_skew_error

CONTRACT_FIELDS = ("op", "id", "tenant", "version", "title", "images", "attributes", "offer")


@dataclass(frozen=True, slots=True)
class ParserConfig:
    """The default tenant, the mapping from the shop's own records, and the limit on versions that are times.

    A version that is a time may be at most `max_skew_ms` ahead of now, because it would win over every later change
    of its product. None allows any version.
    """

    tenant: str = "default"
    mapping: RecordMapping | None = None
    max_skew_ms: int | None = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class ParsedEvent:
    """A parsed event. `dropped` names the fields that an index cannot hold."""

    change: Change
    record: Record
    dropped: tuple[str, ...] = ()


class _BadEvent(Exception):
    pass


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the product event."""
    return cast(dict[str, Any], json.loads(files("catalog.events").joinpath("event.schema.json").read_text("utf-8")))


def key_bytes(key: ProductKey) -> bytes:
    """The Kafka key of a product: a JSON array of tenant and id, unique for each product."""
    return json.dumps([key.tenant, key.id], ensure_ascii=False, separators=(",", ":")).encode()


def parse_key(raw: bytes, config: ParserConfig) -> ProductKey:
    """The product that a Kafka key names: the form of `key_bytes`, or a plain id of the default tenant.

    With a mapping the key may also be an object with the column of the id. Raises ValueError if the bytes are not UTF-8
    or name no product.
    """
    text = raw.decode("utf-8")
    try:
        parts = json.loads(text)
    except ValueError:
        parts = None
    if isinstance(parts, list) and len(parts) == 2 and all(isinstance(p, str) and p for p in parts):
        return ProductKey(parts[0], parts[1])
    if config.mapping is not None and isinstance(parts, dict):
        id_ = config.mapping.key(parts)
        text = str(id_) if isinstance(id_, str | int) else ""
    if isinstance(parts, str):
        text = parts
    if not text:
        raise ValueError("an empty key names no product")
    return ProductKey(config.tenant, text)


def parse(record: Record, config: ParserConfig, *, now_ms: int | None = None) -> ParsedEvent | Reject | None:
    """The change in a record, or the reason why it is rejected.

    Versions that are times are compared with `now_ms`, in milliseconds since the epoch; None skips this check. The
    result is None for the record without value that follows a delete in a stream of envelopes: the delete itself has
    the right version.
    """
    mapping = config.mapping
    try:
        if record.value is None:
            if mapping is not None and mapping.envelope != "none":
                return None
            parsed = ParsedEvent(_tombstone(record, config), record)
            return _check_skew(parsed, config, now_ms, has_version=False)
        value = _load(record.value)
    except _BadEvent as bad:
        return Reject(record, Stage.PARSE, str(bad))
    try:
        event = mapping.event(value) if mapping else value
        parsed = _event(event, record, config)
    except MappingError as error:
        return Reject(record, Stage.SCHEMA, f"mapping.{error}")
    except _BadEvent as bad:
        return Reject(record, Stage.SCHEMA, str(bad) + (_column_note(str(bad), mapping) if event is not value else ""))
    has_version = isinstance(event, dict) and event.get("version") is not None
    return _check_skew(parsed, config, now_ms, has_version=has_version)


def _check_skew(
    parsed: ParsedEvent, config: ParserConfig, now_ms: int | None, *, has_version: bool
) -> ParsedEvent | Reject:
    """Rejects the event if its version is too far ahead. `has_version`: the version is not the record's timestamp."""
    is_counter = has_version and config.mapping is not None and config.mapping.version_is == "counter"
    if now_ms is None or config.max_skew_ms is None or is_counter:
        return parsed
    version, max_skew_ms = parsed.change.version, config.max_skew_ms
    reason = version_skew_error(version, now_ms=now_ms, max_skew_ms=max_skew_ms, from_timestamp=not has_version)
    return parsed if reason is None else Reject(parsed.record, Stage.SCHEMA, reason)


def _column_note(reason: str, mapping: RecordMapping | None) -> str:
    """The column that the mapping reads the field from that a reason starts with."""
    name = reason.partition(":")[0]
    column = mapping.source(name) if mapping else None
    return f" (mapping.{name.removeprefix('offer.')} reads it from {column})" if column else ""


def product_keys_in(record: Record, config: ParserConfig) -> frozenset[ProductKey]:
    """The products that a record seems to concern, by its key and by its value; to search quarantine."""
    keys = set()
    with suppress(ValueError):
        keys.add(parse_key(record.key or b"", config))
    with suppress(_BadEvent):
        event = _load(record.value or b"null")
        with suppress(MappingError):
            event = config.mapping.event(event) if config.mapping else event
        if isinstance(event, dict):
            keys.add(ProductKey(_text(event, "tenant", 1, 128) or config.tenant, _id(event)))
    return frozenset(keys)


def _tombstone(record: Record, config: ParserConfig) -> Delete:
    if not record.key:
        raise _BadEvent("a record without key and value names no product to delete")
    try:
        key = parse_key(record.key, config)
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
            json.dumps(event, ensure_ascii=False).encode("utf-8")  # raises for half of a surrogate pair
    except UnicodeDecodeError as error:
        raise _BadEvent(f"not UTF-8: byte {error.start} is {value[error.start]:#04x}") from None
    except UnicodeEncodeError:
        raise _BadEvent("a \\u escape stands for half a character") from None
    except (ValueError, RecursionError) as error:
        raise _BadEvent(f"not JSON: {error}") from None
    return event


def _event(event: object, record: Record, config: ParserConfig) -> ParsedEvent:
    if not isinstance(event, dict):
        raise _BadEvent(f"an event is a JSON object, not {json_type(event)}")
    op = event.get("op", "put")
    if op not in ("put", "patch", "delete") or not isinstance(op, str):
        raise _BadEvent(f"op: {json_excerpt(op)} is not one of put, patch, delete")
    key = ProductKey(_text(event, "tenant", 1, 128) or config.tenant, _id(event))
    version = _version(event.get("version"), record)
    # Every field is checked whatever the op, so that a malformed one is never ignored.
    title, images = _text(event, "title", 0, 10_000), _images(event)
    attributes, dropped = _attributes(event)
    offer, dropped_offer_fields = _offer(event)
    dropped += dropped_offer_fields
    if op == "delete":
        return ParsedEvent(Delete(key, version), record, tuple(dropped))
    if op == "patch":
        for name, value in (("title", title), ("images", images)):
            if value is not None:
                raise _BadEvent(f"{name}: a patch changes offer and attributes only; send a put to change the {name}")
        fields: dict[str, Attribute | None] = {**offer, **{ATTRIBUTE + n: v for n, v in attributes.items()}}
        return ParsedEvent(Patch(key, version, fields), record, tuple(dropped))
    if not (title and title.strip()) and not images:
        raise _BadEvent("title: a put needs a title that is not blank, or an image, so that searches can find it")
    content = Content((title or "").strip(), tuple(images or ()))
    values = {n: v for n, v in attributes.items() if v is not None}
    product = Product(key, content, values, Offer(**cast(dict[str, Any], offer)))
    return ParsedEvent(Put(product, version), record, tuple(dropped))


def _id(event: Mapping[str, object]) -> str:
    if "id" not in event:
        raise _BadEvent("id: missing; every event names its product")
    value = event["id"]
    if isinstance(value, str) and 1 <= len(value) <= 512:
        return value
    number = _integer(value)
    if number is not None and -MAX_INT - 1 <= number <= MAX_INT:
        return str(number)
    raise _BadEvent(f"id: {json_excerpt(value)} is not a string of 1 to 512 characters or a 64-bit integer")


def _version(value: object, record: Record) -> int:
    if value is None:
        if record.timestamp < 0:
            raise _BadEvent("version: missing, and the record has no timestamp to stand for it")
        return record.timestamp
    number = _integer(value)
    if number is None or not 0 <= number <= MAX_INT:
        raise _BadEvent(f"version: {json_excerpt(value)} is not an integer from 0 to {MAX_INT}")
    return number


def _text(event: Mapping[str, object], name: str, min_length: int, max_length: int) -> str | None:
    value = event.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not min_length <= len(value) <= max_length:
        raise _BadEvent(f"{name}: {json_excerpt(value)} is not a string of {min_length} to {max_length} characters")
    return value


def _images(event: Mapping[str, object]) -> list[str] | None:
    value = event.get("images")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > 64:
        raise _BadEvent(f"images: {json_excerpt(value)} is not a list of at most 64 URLs")
    for position, url in enumerate(value):
        if not isinstance(url, str) or not url:
            raise _BadEvent(f"images: entry {position} is {json_excerpt(url)}, not a URL")
    return value


def _attributes(event: Mapping[str, object]) -> tuple[dict[str, Attribute | None], list[str]]:
    """The attributes (unknown fields of the event first), and the names of the values that an index cannot hold."""
    explicit = event.get("attributes")
    if explicit is not None and not isinstance(explicit, dict):
        raise _BadEvent(f"attributes: {json_excerpt(explicit)} is not an object")
    unknown = {name: value for name, value in event.items() if name not in CONTRACT_FIELDS}
    attributes: dict[str, Attribute | None] = {}
    dropped = []
    for name, value in (unknown | (explicit or {})).items():
        try:
            attributes[name] = attribute_of(value)
        except ValueError:
            dropped.append(name)
    return attributes, dropped


def _offer(event: Mapping[str, object]) -> tuple[dict[str, Attribute | None], list[str]]:
    offer = event.get("offer")
    if offer is None:
        return {}, []
    if not isinstance(offer, dict):
        raise _BadEvent(f"offer: {json_excerpt(offer)} is not an object")
    allowed: dict[str, tuple[Callable[[Any], bool], str]] = {
        "price": (_is_price, "a number from 0 to 1e15"),
        "currency": (lambda v: isinstance(v, str) and 1 <= len(v) <= 8, "a string of 1 to 8 characters"),
        "available": (lambda v: isinstance(v, bool), "true or false"),
    }
    for name, (is_valid, expected) in allowed.items():
        if offer.get(name) is not None and not is_valid(offer[name]):
            raise _BadEvent(f"offer.{name}: {json_excerpt(offer[name])} is not {expected}")
    fields = {n: float(v) if n == "price" and v is not None else v for n, v in offer.items() if n in OFFER_FIELDS}
    return fields, [f"offer.{n}" for n in offer if n not in OFFER_FIELDS]


def _is_price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e15


def _integer(value: object) -> int | None:
    """The integer value of a JSON number (1.0 is 1); None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None
