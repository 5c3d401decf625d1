"""The types of settings beyond Python's own: comma-separated lists, addresses and log levels."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode


def _split(value: object) -> object:
    """Text between commas, or a JSON array for what holds a comma or for no value at all."""
    if not isinstance(value, str):
        return value
    if value.startswith("["):
        with suppress(ValueError):
            return tuple(json.loads(value))
    return tuple(part.strip() for part in value.split(",") if part.strip())


def joined(values: Collection[object]) -> str:
    """The text from which a list setting gets exactly these values."""
    texts = [str(value) for value in values]
    plain = texts and not any("," in text or text != text.strip() for text in texts) and not texts[0].startswith("[")
    return ",".join(texts) if plain else json.dumps(texts)


def _one_line(value: object) -> object:
    """A secret without the line break that ends its file."""
    text = value.rstrip("\r\n") if isinstance(value, str) else value
    if isinstance(text, str) and any(ord(character) < 32 for character in text):
        raise ValueError("should be one line without control characters")
    return text


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("should begin with http:// or https://")
    return value.rstrip("/")


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Folders = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_split)]
Ports = Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], NoDecode, BeforeValidator(_split)]
Seconds = Annotated[
    tuple[Annotated[float, Field(ge=1, le=365 * 86_400)], ...],
    NoDecode,
    BeforeValidator(_split),
    Field(min_length=1, max_length=100),
]
Url = Annotated[str, AfterValidator(_http_url)]
Secret = Annotated[SecretStr, BeforeValidator(_one_line)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]
