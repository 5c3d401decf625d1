"""JSON values as text for error messages."""

from __future__ import annotations

import json

MAX_CHARS = 60


def json_excerpt(value: object) -> str:
    """The value as JSON, truncated to MAX_CHARS characters."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 3] + "..."


def json_type(value: object) -> str:
    """The JSON type of a value, in words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
