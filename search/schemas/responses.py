"""The response bodies of the API: products, hits, counts, status and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from catalog.domain.filters import name_of
from catalog.domain.image_state import ImageState
from catalog.domain.product import ProductKey, Scalar
from catalog.domain.state import Payload
from catalog.ports import Hit
from catalog.query.query import Mode, SearchResult
from search.media import address, addresses

PRODUCT_EXAMPLE: dict[str, Any] = {
    "id": "sku-1",
    "tenant": "default",
    "title": "Stoneware mug, sea green",
    "images": ["https://images.example/sku-1.jpg"],
    "photo": "/v1/products/sku-1/photo?tenant=default&n=0",
    "attributes": {"brand": "Arbour", "category": "mugs"},
    "price": 12.5,
    "currency": "EUR",
    "available": True,
    "content_version": 1732245000123,
    "offer_version": 1732245000123,
    "event_time": 1732245000123,
    "age_s": 4.2,
    "image_state": "ok",
    "image_reason": "",
}


class ProductBody(BaseModel):
    """The current state of a product in the index."""

    model_config = ConfigDict(json_schema_extra={"examples": [PRODUCT_EXAMPLE]})

    id: str = Field(description="Unique within its tenant.")
    tenant: str = Field(description="The tenant (shop) of the product.")
    title: str = Field(description="Its title; empty if the shop gave none.")
    images: list[str] = Field(
        description="URLs of its photos: http(s) URLs as the shop gave them, others as paths of this API."
    )
    photo: str | None = Field(description="Path of the first photo in this API; null if there is none.")
    attributes: dict[str, Scalar | list[Scalar]] = Field(description="Further attributes from the shop, by name.")
    price: float | None = Field(description="Its price in `currency`; null if the shop gave none.")
    currency: str | None = Field(description="The currency of the price, as the shop gave it.")
    available: bool | None = Field(description="Whether it is available; null if the shop gave no value.")
    content_version: int | None = Field(description="Version of title and images.")
    offer_version: int | None = Field(description="Version of the newest change of price or availability.")
    event_time: int | None = Field(description="Time of its newest event, in milliseconds since 1970.")
    age_s: float | None = Field(description="Seconds since its newest event.")
    image_state: ImageState | None = Field(description="State of the photo when the product was encoded.")
    image_reason: str = Field(description="Why the vector contains no photo; empty if it does.")

    @classmethod
    def of(cls, key: ProductKey, payload: Payload, now: float) -> ProductBody:
        """`now` is in seconds since 1970."""
        return cls(**_fields(key, payload, now))


class VariantBody(ProductBody):
    """A further product of a hit's group."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"score": 0.83, **PRODUCT_EXAMPLE}]})

    score: float = Field(description="Score, higher is better: cosine, BM25 or their fusion.")


class HitBody(VariantBody):
    """A product result."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"score": 0.83, **PRODUCT_EXAMPLE, "variants": []}]})

    variants: list[VariantBody] = Field(description="The next best products of its group, if hits are grouped.")

    @classmethod
    def of_hit(cls, hit: Hit, variants: Sequence[Hit], now: float) -> HitBody:
        others = [VariantBody(score=other.score, **_fields(other.key, other.payload, now)) for other in variants]
        return cls(score=hit.score, variants=others, **_fields(hit.key, hit.payload, now))


class CountBody(BaseModel):
    """A value, and the number of products that have it."""

    value: Scalar = Field(description="A value of the field.", examples=["Arbour"])
    count: int = Field(description="Number of live products that have it.", examples=[42])


class TookBody(BaseModel):
    """Time spent, in milliseconds."""

    encode: float = Field(description="To encode the query.", examples=[8.4])
    search: float = Field(description="To search the index.", examples=[3.1])
    total: float = Field(description="From reading the query to its answer.", examples=[11.7])


class SearchResultBody(BaseModel):
    """The hits, best first."""

    hits: list[HitBody] = Field(
        description="The products result.", examples=[[{"score": 0.83, **PRODUCT_EXAMPLE, "variants": []}]]
    )
    facets: dict[str, list[CountBody]] = Field(
        description="Values and counts of the requested fields, over all products that satisfy the filter.",
        examples=[{"brand": [{"value": "Arbour", "count": 42}]}],
    )
    mode: Mode = Field(description="The mode that was used: dense, lexical or hybrid.")
    degraded: list[str] = Field(
        description="Why the result is incomplete, one sentence for each reason.", examples=[[]]
    )
    space: str = Field(description="The vector space of the comparison.", examples=["builtin-small-1a2b3c4d"])
    took_ms: TookBody = Field(description="Time spent, in milliseconds.")

    @classmethod
    def of(cls, result: SearchResult, now: float) -> SearchResultBody:
        """`now` is in seconds since 1970."""
        variants = result.variants or {}
        return cls(
            hits=[HitBody.of_hit(hit, variants.get(hit.key, ()), now) for hit in result.hits],
            facets=counts_of(result.facets),
            mode=result.mode,
            degraded=list(result.degraded),
            space=result.space,
            took_ms=TookBody(
                encode=round(result.encode_ms, 2), search=round(result.search_ms, 2), total=round(result.total_ms, 2)
            ),
        )


class FieldsBody(BaseModel):
    """The fields to filter on, and counts of their values."""

    fields: dict[str, str] = Field(
        description="Field to type: keyword, number, bool or any. Filters on other attributes are possible but slower, "
        "and other attributes cannot be counted.",
        examples=[{"brand": "keyword", "price": "number", "available": "bool"}],
    )
    counted: list[str] = Field(description="The fields whose values can be counted.", examples=[["brand", "available"]])
    facets: dict[str, list[CountBody]] = Field(
        description="Values and counts of the requested fields, the most frequent first.",
        examples=[{"brand": [{"value": "Arbour", "count": 42}]}],
    )


def counts_of(counts: Mapping[str, Sequence[tuple[Scalar, int]]]) -> dict[str, list[CountBody]]:
    """Counts by the field names of the API."""
    return {
        name_of(field): [CountBody(value=value, count=count) for value, count in values]
        for field, values in counts.items()
    }


class StatusBody(BaseModel):
    """Whether queries can be answered."""

    status: str = Field(description="ok, or unavailable.", examples=["ok"])
    index: bool = Field(description="Whether the index answers.", examples=[True])
    space: str = Field(description="The vector space queries are encoded into.", examples=["builtin-small-1a2b3c4d"])
    products: int | None = Field(
        description="Number of live products; null if the index does not answer or the key may not read all tenants.",
        examples=[1284],
    )
    message: str = Field(default="", description="The problem, if there is one.")


class Problem(BaseModel):
    """An error: `type` for programs, `message` for people."""

    type: str = Field(description="The type of the error, for programs.", examples=["invalid"])
    message: str = Field(
        description="What is wrong and what to do, for people.", examples=["limit: 0 is not between 1 and 1000"]
    )
    field: str | None = Field(
        default=None, description="The field at fault, if there is a single one.", examples=["limit"]
    )
    state: ImageState | None = Field(
        default=None, description="The state of the image, if it caused the error.", examples=["broken"]
    )


class ErrorBody(BaseModel):
    """The body of every error response."""

    error: Problem = Field(description="The error.")


def _fields(key: ProductKey, payload: Payload, now: float) -> dict[str, Any]:
    offer_fields = {
        name: payload.get(name) for name in ("price", "currency", "available", "content_version", "offer_version")
    }
    images, event_time = addresses(key, payload), payload.get("event_time")
    return {
        "id": key.id,
        "tenant": key.tenant,
        "title": payload.get("title") or "",
        "images": images,
        "photo": address(key) if images else None,
        "attributes": payload.get("attributes") or {},
        "event_time": event_time,
        # The clock of a shop may be ahead of this one.
        "age_s": None if event_time is None else round(max(0.0, now - event_time / 1000), 3),
        "image_state": payload.get("image_state"),
        "image_reason": payload.get("image_reason") or "",
        **offer_fields,
    }
