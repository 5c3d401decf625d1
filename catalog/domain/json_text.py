"""JSON values in the reasons that people read."""

from __future__ import annotations

import json

MOST = 60


def show(value: object) -> str:
    """The value as JSON, cut short."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST else text[: MOST - 3] + "..."


def kind(value: object) -> str:
    """What kind of value it is."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
