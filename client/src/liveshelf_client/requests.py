"""Builds each request as a value, with the function that reads its response. No network access here."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from liveshelf_client.options import CandidateOptions, Image, Part, SearchOptions, SimilarOptions
from liveshelf_client.results import Candidates, Encoding, Product, SearchResult

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ApiRequest(Generic[T]):
    """One request. `body` is sent as JSON and `params` in the URL; `read` converts the JSON response."""

    method: str
    path: str
    read: Callable[[Mapping[str, Any]], T]
    body: Mapping[str, Any] | None = None
    params: Mapping[str, Any] | None = None


Query = tuple[str | None, Image | None, Sequence[Part] | None]


def search(query: Query, options: SearchOptions) -> ApiRequest[SearchResult]:
    return ApiRequest("POST", "/v1/search", SearchResult.of, body={**_parts(*query), **options})


def candidates(query: Query, options: CandidateOptions) -> ApiRequest[Candidates]:
    return ApiRequest("POST", "/v1/candidates", Candidates.of, body={**_parts(*query), **options})


def encode(query: Query, using: str) -> ApiRequest[Encoding]:
    return ApiRequest("POST", "/v1/encode", Encoding.of, body={**_parts(*query), "using": using})


def similar(product_id: str, tenant: str | None, options: SimilarOptions) -> ApiRequest[SearchResult]:
    params: dict[str, Any] = {**options, **_tenant_params(tenant)}
    if "filter" in params:
        params["filter"] = json.dumps(params["filter"])
    if "facets" in params:
        params["facets"] = list(params["facets"])
    return ApiRequest("GET", f"/v1/products/{quote(product_id, safe='')}/similar", SearchResult.of, params=params)


def product(product_id: str, tenant: str | None) -> ApiRequest[Product]:
    return ApiRequest("GET", f"/v1/products/{quote(product_id, safe='')}", Product.of, params=_tenant_params(tenant))


def _tenant_params(tenant: str | None) -> dict[str, str]:
    return {} if tenant is None else {"tenant": tenant}


def _parts(text: str | None, image: Image | None, mix: Sequence[Part] | None) -> dict[str, Any]:
    body: dict[str, Any] = {} if text is None else {"text": text}
    if image is not None:
        body["image_url"] = _url(image)
    if mix is not None:
        body["mix"] = [_part(part) for part in mix]
    return body


def _part(part: Part) -> dict[str, Any]:
    image = None if part.image is None else _url(part.image)
    fields = {"text": part.text, "image_url": image, "product": part.product, "tenant": part.tenant}
    return {name: value for name, value in fields.items() if value is not None} | {"weight": part.weight}


def _url(image: Image) -> str:
    """The URL of a photo; bytes and files become data URLs. The service detects the image type from the bytes."""
    if isinstance(image, str):
        return image
    data = image.read_bytes() if isinstance(image, Path) else image
    return f"data:application/octet-stream;base64,{base64.b64encode(data).decode('ascii')}"
