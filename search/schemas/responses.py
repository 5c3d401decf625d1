"""What is answered over the wire: products, hits, counts, errors."""

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
    """A product as the index knows it now."""

    model_config = ConfigDict(json_schema_extra={"examples": [PRODUCT_EXAMPLE]})

    id: str = Field(description="Unique within its tenant.")
    tenant: str = Field(description="The shop it belongs to.")
    title: str = Field(description="What it is called; empty where the shop does not say.")
    images: list[str] = Field(description="Its photos: web addresses as the shop gave them, others through this API.")
    photo: str | None = Field(description="Where this API gives out the first photo; null where there is none.")
    attributes: dict[str, Scalar | list[Scalar]] = Field(description="Whatever else the shop says of it, by name.")
    price: float | None = Field(description="What it costs, in its currency; null where the shop does not say.")
    currency: str | None = Field(description="The currency of the price, as the shop writes it.")
    available: bool | None = Field(description="Whether it can be had now; null where the shop does not say.")
    content_version: int | None = Field(description="The version of title and images.")
    offer_version: int | None = Field(description="The version of the newest word on price or availability.")
    event_time: int | None = Field(description="When the newest event was recorded, in milliseconds since 1970.")
    age_s: float | None = Field(description="How long ago that was, in seconds.")
    image_state: ImageState | None = Field(description="What became of the photo when the product was encoded.")
    image_reason: str = Field(description="Why there is no photo in the vector, where there is none.")

    @classmethod
    def of(cls, key: ProductKey, payload: Payload, now: float) -> ProductBody:
        """`now` is in seconds since 1970."""
        return cls(**_fields(key, payload, now))


class VariantBody(ProductBody):
    """A product found, of a hit's group."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"score": 0.83, **PRODUCT_EXAMPLE}]})

    score: float = Field(description="How well it answers, higher is better: cosine, BM25 or what both are fused to.")


class HitBody(VariantBody):
    """A product found."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"score": 0.83, **PRODUCT_EXAMPLE, "variants": []}]})

    variants: list[VariantBody] = Field(description="Where hits are grouped: the next best products of its group.")

    @classmethod
    def of_hit(cls, hit: Hit, variants: Sequence[Hit], now: float) -> HitBody:
        others = [VariantBody(score=other.score, **_fields(other.key, other.payload, now)) for other in variants]
        return cls(score=hit.score, variants=others, **_fields(hit.key, hit.payload, now))


class CountBody(BaseModel):
    """A value, and how many products have it."""

    value: Scalar = Field(description="A value of the field.", examples=["Arbour"])
    count: int = Field(description="How many live products have it.", examples=[42])


class TookBody(BaseModel):
    """Where the time went, in milliseconds."""

    encode: float = Field(description="For the query's vector.", examples=[8.4])
    search: float = Field(description="For the index's answer.", examples=[3.1])
    total: float = Field(description="From the query's reading to its answer.", examples=[11.7])


class FoundBody(BaseModel):
    """The hits, best first."""

    hits: list[HitBody] = Field(
        description="The products found.", examples=[[{"score": 0.83, **PRODUCT_EXAMPLE, "variants": []}]]
    )
    facets: dict[str, list[CountBody]] = Field(
        description="Values and counts of the fields asked for, over all products that satisfy the filter.",
        examples=[{"brand": [{"value": "Arbour", "count": 42}]}],
    )
    mode: Mode = Field(description="How it was answered: dense, lexical or hybrid.")
    degraded: list[str] = Field(description="Why this is less than was asked for, a sentence each.", examples=[[]])
    space: str = Field(description="The vector space they were compared in.", examples=["builtin-small-1a2b3c4d"])
    took_ms: TookBody = Field(description="Where the time went, in milliseconds.")

    @classmethod
    def of(cls, found: SearchResult, now: float) -> FoundBody:
        """`now` is in seconds since 1970."""
        variants = found.variants or {}
        return cls(
            hits=[HitBody.of_hit(hit, variants.get(hit.key, ()), now) for hit in found.hits],
            facets=counts_of(found.facets),
            mode=found.mode,
            degraded=list(found.degraded),
            space=found.space,
            took_ms=TookBody(
                encode=round(found.encode_ms, 2), search=round(found.search_ms, 2), total=round(found.total_ms, 2)
            ),
        )


class FieldsBody(BaseModel):
    """What can be filtered on, and how often which values are there."""

    fields: dict[str, str] = Field(
        description="Field to what it holds: keyword, number, bool or any. Other attributes can be filtered on too, "
        "more slowly, but not counted.",
        examples=[{"brand": "keyword", "price": "number", "available": "bool"}],
    )
    counted: list[str] = Field(
        description="Those of the fields whose values can be counted.", examples=[["brand", "available"]]
    )
    facets: dict[str, list[CountBody]] = Field(
        description="Values and counts of the fields asked for, the most frequent first.",
        examples=[{"brand": [{"value": "Arbour", "count": 42}]}],
    )


def counts_of(counts: Mapping[str, Sequence[tuple[Scalar, int]]]) -> dict[str, list[CountBody]]:
    """Counts by the names that queries use."""
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
        description="How many are live; null while the index is silent, and for who sees only one tenant.",
        examples=[1284],
    )
    message: str = Field(default="", description="What is wrong, while something is.")


class Problem(BaseModel):
    """What went wrong: `type` for programs, `message` for people."""

    type: str = Field(description="The kind of failure, for programs.", examples=["invalid"])
    message: str = Field(
        description="What is wrong and what to do, for people.", examples=["limit: 0 is not between 1 and 1000"]
    )
    field: str | None = Field(
        default=None, description="The field at fault, where it is one field.", examples=["limit"]
    )
    state: ImageState | None = Field(
        default=None, description="What is wrong with the image, where it is the image.", examples=["broken"]
    )


class ErrorBody(BaseModel):
    """Every answer that is not a success."""

    error: Problem = Field(description="What went wrong.")


def _fields(key: ProductKey, payload: Payload, now: float) -> dict[str, Any]:
    said = {name: payload.get(name) for name in ("price", "currency", "available", "content_version", "offer_version")}
    images, event_time = addresses(key, payload), payload.get("event_time")
    return {
        "id": key.id,
        "tenant": key.tenant,
        "title": payload.get("title") or "",
        "images": images,
        "photo": address(key) if images else None,
        "attributes": payload.get("attributes") or {},
        "event_time": event_time,
        # A shop's clock may be ahead of this one.
        "age_s": None if event_time is None else round(max(0.0, now - event_time / 1000), 3),
        "image_state": payload.get("image_state"),
        "image_reason": payload.get("image_reason") or "",
        **said,
    }
