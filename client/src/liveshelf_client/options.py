"""The options of requests, with the names of the HTTP API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

# A photo: its bytes, the path of its file, or its http, https or data URL.
Image = bytes | Path | str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a mix: exactly one of a text, a photo and a product id.

    Hits are similar to it, or dissimilar if `weight` is negative. `tenant` is the tenant of the product.
    """

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
    """The options of `search`."""


class SimilarOptions(_Options, _Shape, total=False):
    """The options of `similar`."""


class CandidateOptions(_Options, _Channels, total=False):
    """The options of `candidates`. `fields` are the fields of each candidate."""

    fields: Sequence[str]
