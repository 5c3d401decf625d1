"""What can be asked, by the names that the service's own interface has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

# A photo: its bytes, a file that holds them, or its http, https or data URL.
Image = bytes | Path | str


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that hits are to be like, or, with a negative weight, unlike: a text, a photo or a product's id."""

    text: str | None = None
    image: Image | None = None
    product: str | None = None
    tenant: str | None = None
    weight: float = 1.0


class _Options(TypedDict, total=False):
    using: str
    exact: bool
    ef: int
    filter: Mapping[str, Any]
    timeout_ms: int
    limit: int


class _Channels(TypedDict, total=False):
    mode: Literal["dense", "lexical", "hybrid"]
    fusion: Mapping[str, Any]


class _Shape(TypedDict, total=False):
    facets: Sequence[str | Mapping[str, Any]]
    group_by: str
    group_size: int
    sort: Literal["price", "-price"]
    offset: int


class SearchOptions(_Options, _Channels, _Shape, total=False):
    """Of `search`."""


class SimilarOptions(_Options, _Shape, total=False):
    """Of `similar`."""


class CandidateOptions(_Options, _Channels, total=False):
    """Of `candidates`: `fields` are what each brings along."""

    fields: Sequence[str]
