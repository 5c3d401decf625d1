"""Values of a flat row: ids, versions, images and attributes. `catalog.events.values` reads prices and flags."""

from __future__ import annotations

import base64
import math
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from catalog.events.values import read_version

MAGIC = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp", b"BM": "bmp"}


class BadValue(ValueError):
    """A row that cannot become an event. The text names the column and the reason."""


def resolve_image(url: str, folder: Path) -> str:
    """A URL unchanged; a path as a file: URL, relative ones from `folder`."""
    if urlsplit(url).scheme in ("http", "https", "data", "file", "s3", "gs"):
        return url
    return (folder / url).resolve().as_uri()


def is_empty(value: Any) -> bool:
    """Whether a value is null, NaN, blank or an empty collection."""
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, list | tuple | dict | bytes) and not value)
    )


def product_id(value: Any, name: str) -> str:
    """The id as text. Raises BadValue if it is empty or no id; `name` is the column's."""
    if is_empty(value):
        raise BadValue(f"{name} is empty")
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # integer columns with nulls are read as floats
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise BadValue(f"{name} is {value!r}, which names no product")
    return str(value).strip()


def text(value: Any) -> str:
    """The value as text without blanks around it; empty if the value is."""
    return "" if is_empty(value) else str(value).strip()


def version_of(value: Any, name: str | None, default: int) -> int:
    """An integer, or a time as milliseconds since the epoch; `default` if empty. Raises BadValue."""
    if is_empty(value):
        return default
    if (version := read_version(value)) is None:
        raise BadValue(f"{name} is {value!r}, neither an integer nor a time")
    return version


def image_urls(value: Any, folder: Path) -> list[str]:
    """The URLs of one image or several: bytes become data: URLs, paths become file: URLs."""
    if is_empty(value):
        return []
    if isinstance(value, list | tuple):
        return [url for item in value for url in image_urls(item, folder)]
    if isinstance(value, dict):  # as in Hugging Face's datasets: the bytes, or else the path
        return image_urls(value.get("bytes"), folder) or image_urls(value.get("path"), folder)
    if isinstance(value, bytes):
        kind = next((kind for magic, kind in MAGIC.items() if value.startswith(magic)), "jpeg")
        return [f"data:image/{kind};base64,{base64.b64encode(value).decode()}"]
    return [resolve_image(str(value).strip(), folder)]


def attribute(value: Any) -> Any:
    """A scalar or list of scalars of JSON; None for a value that an attribute cannot hold."""
    if is_empty(value) or isinstance(value, bytes | dict):
        return None
    if isinstance(value, list | tuple):
        scalars = [item for item in map(attribute, value) if item is not None and not isinstance(item, list)]
        return scalars or None
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.strip() if isinstance(value, str) else value
