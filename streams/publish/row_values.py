"""What the values of a flat row mean: ids, versions, images, money, availability."""

from __future__ import annotations

import base64
import math
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

YES = {"true", "yes", "y", "1", "in stock", "instock", "available", "preorder", "backorder", "limited availability"}
NO = {"false", "no", "n", "0", "out of stock", "outofstock", "unavailable", "sold out", "soldout", "discontinued"}
MONEY = re.compile(r"\s*(?P<amount>\d+(?:[.,]\d{1,2})?)\s*(?P<currency>[A-Z]{3})?\s*")
MAGIC = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp", b"BM": "bmp"}


class BadValue(ValueError):
    """A row that cannot become an event; the text says which column and why."""


def resolve_image(url: str, folder: Path) -> str:
    """A URL as it is; a path, relative ones from `folder`, as a file: URL."""
    if urlsplit(url).scheme in ("http", "https", "data", "file", "s3", "gs"):
        return url
    return (folder / url).resolve().as_uri()


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: null, NaN, blank, or an empty collection."""
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, list | tuple | dict | bytes) and not value)
    )


def product_id(value: Any, name: str) -> str:
    """The id as text. Raises BadValue where there is none; `name` is the column's."""
    if is_empty(value):
        raise BadValue(f"{name} is empty")
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of integers with holes in it is read as floats
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise BadValue(f"{name} is {value!r}, which names no product")
    return str(value).strip()


def text(value: Any) -> str:
    """The value as text without blanks around it; empty where it says nothing."""
    return "" if is_empty(value) else str(value).strip()


def version_of(value: Any, name: str | None, otherwise: int) -> int:
    """An integer as it is, a time (UTC unless it says so) in milliseconds since the epoch. Raises BadValue."""
    if is_empty(value):
        return otherwise
    if isinstance(value, str):
        try:
            value = int(value) if value.strip().isdigit() else datetime.fromisoformat(value.strip())
        except ValueError:
            raise BadValue(f"{name} is {value!r}, neither an integer nor a time") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    if isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer() and value >= 0:
        return int(value)
    raise BadValue(f"{name} is {value!r}, neither an integer nor a time")


def image_urls(value: Any, folder: Path) -> list[str]:
    """URLs of one image or of many: bytes become data: URLs, paths file: URLs."""
    if is_empty(value):
        return []
    if isinstance(value, list | tuple):
        return [url for one in value for url in image_urls(one, folder)]
    if isinstance(value, dict):  # as Hugging Face's datasets keep images: the bytes, or else the path
        return image_urls(value.get("bytes"), folder) or image_urls(value.get("path"), folder)
    if isinstance(value, bytes):
        kind = next((kind for magic, kind in MAGIC.items() if value.startswith(magic)), "jpeg")
        return [f"data:image/{kind};base64,{base64.b64encode(value).decode()}"]
    return [resolve_image(str(value).strip(), folder)]


def price_of(value: Any) -> tuple[float, str | None] | None:
    """An amount and, where the text names one, its currency; None where it cannot be read as money."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return float(value), None
    match = MONEY.fullmatch(value) if isinstance(value, str) else None
    return (float(match["amount"].replace(",", ".")), match["currency"]) if match else None


def availability(value: Any) -> bool | None:
    """Whether it can be had; None where the value says neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value > 0
    word = str(value).strip().lower().replace("_", " ")
    return True if word in YES else False if word in NO else None


def attribute(value: Any) -> Any:
    """A scalar or list of scalars as JSON has them, None for what cannot be kept."""
    if is_empty(value) or isinstance(value, bytes | dict):
        return None
    if isinstance(value, list | tuple):
        kept = [one for one in map(attribute, value) if one is not None and not isinstance(one, list)]
        return kept or None
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.strip() if isinstance(value, str) else value
