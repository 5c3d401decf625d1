"""Reads a mapping from TOML. Its keys are the fields of `RecordMapping`."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from typing import Any

from catalog.errors import InvalidInput
from catalog.events.mapping import ENVELOPES, VERSION_KINDS, RecordMapping


def read_mapping(text: str) -> RecordMapping:
    """The mapping in a TOML document. Raises InvalidInput, which names the wrong key."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidInput(f"The mapping is not TOML: {error}.") from None
    allowed = [f.name for f in fields(RecordMapping)]
    for key in document:
        if key not in allowed:
            raise _wrong(key, f"there is no such key; the keys are {', '.join(allowed)}")
    mapping = RecordMapping(**{key: _checked(key, value) for key, value in ({"id": None} | document).items()})
    if mapping.title is None and not mapping.images:
        raise _wrong("title", "name the column of title or of images: searches find a product by one of them")
    if (mapping.version is None) != (mapping.version_is is None):
        raise _wrong("version_is", 'set version and version_is together; version_is is "time" or "counter"')
    return mapping


def _checked(key: str, value: object) -> Any:
    """A value of the document, converted for the dataclass. Raises InvalidInput."""
    if key == "images":
        return _columns(key, value if isinstance(value, list) else [value])
    if key == "attributes":
        pairs = value if isinstance(value, dict) else {name: name for name in _columns(key, value)}
        return dict(zip(pairs, (_column(f"{key}.{name}", column) for name, column in pairs.items()), strict=True))
    if key == "keep_other_columns":
        if not isinstance(value, bool):
            raise _wrong(key, f"{value!r} is neither true nor false")
        return value
    if key == "price_divisor":
        if not isinstance(value, int | float) or isinstance(value, bool) or not 1e-6 <= value <= 1e9:
            raise _wrong(key, f"{value!r} is not a number from 0.000001 to 1000000000")
        return value
    choices = {"envelope": ENVELOPES, "version_is": VERSION_KINDS}.get(key)
    if choices and value not in choices:
        raise _wrong(key, f"{value!r} is not one of {', '.join(choices)}")
    return value if choices else _column(key, value)


def _columns(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _wrong(key, f"{value!r} is not a list of columns")
    return tuple(_column(key, name) for name in value)


def _column(key: str, value: object) -> str:
    if value is None:
        raise _wrong(key, "missing; name the column that holds it")
    if not isinstance(value, str) or not value:
        raise _wrong(key, f"{value!r} is not the name of a column")
    return value


def _wrong(key: str, reason: str) -> InvalidInput:
    return InvalidInput(f"mapping.{key}: {reason}.")
