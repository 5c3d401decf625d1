"""What goes over the wire: the request, the answers, the errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from catalog.find import Found
from catalog.ports import Hit
from catalog.product import ImageState, Key, Scalar
from catalog.state import Payload
from search.photo import address, addresses

FILTER_EXAMPLE: dict[str, Any] = {"category": ["mugs", "lamps"], "price": {"gte": 5, "lt": 20}, "available": True}
PRODUCT_EXAMPLE: dict[str, Any] = {
    "id": "sku-1",
    "tenant": "default",
    "title": "Stoneware mug, sea green",
    "images": ["https://images.example/sku-1.jpg"],
    "photo": "/products/sku-1/photo?tenant=default&n=0",
    "attributes": {"brand": "Arbour", "category": "mugs"},
    "price": 12.5,
    "currency": "EUR",
    "available": True,
    "content_version": 1732245000123,
    "offer_version": 1732245000123,
    "event_time": 1732245000123,
    "image_state": "ok",
    "image_reason": "",
}


class SearchRequest(BaseModel):
    """A query: text, an image, or both."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"text": "sea green mug", "limit": 5, "filter": FILTER_EXAMPLE}]},
    )

    text: str | None = Field(default=None, description="What is looked for, in words.")
    image_url: str | None = Field(default=None, description="A photo of it: an http, https or data URL.")
    limit: int = Field(default=20, description="How many hits at most, from 1.")
    filter: dict[str, Any] | None = Field(
        default=None,
        description="Field to value, list of values (any of them) or range (gt, gte, lt, lte); all must hold. `price`, "
        "`currency`, `available` and `tenant` are the product's own, any other name is an attribute.",
        examples=[FILTER_EXAMPLE],
    )


class ProductBody(BaseModel):
    """A product as the index knows it now."""

    model_config = ConfigDict(json_schema_extra={"examples": [PRODUCT_EXAMPLE]})

    id: str = Field(description="Unique within its tenant.")
    tenant: str = Field(description="The shop it belongs to.")
    title: str
    images: list[str] = Field(description="Its photos: web addresses as the shop gave them, others through this API.")
    photo: str | None = Field(description="Where this API gives out the first photo; null where there is none.")
    attributes: dict[str, Scalar | list[Scalar]] = Field(description="Whatever else the shop says of it, by name.")
    price: float | None
    currency: str | None
    available: bool | None = Field(description="Whether it can be had now; null where the shop does not say.")
    content_version: int | None = Field(description="The version of title and images.")
    offer_version: int | None = Field(description="The version of the newest word on price or availability.")
    event_time: int | None = Field(description="When the newest event was recorded, in milliseconds since 1970.")
    image_state: ImageState | None = Field(description="What became of the photo when the product was encoded.")
    image_reason: str = Field(description="Why there is no photo in the vector, where there is none.")

    @classmethod
    def of(cls, key: Key, payload: Payload) -> ProductBody:
        return cls(**_fields(key, payload))


class HitBody(ProductBody):
    """A product found."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"score": 0.83, **PRODUCT_EXAMPLE}]})

    score: float = Field(description="Cosine similarity to the query, at most 1; higher is nearer.")

    @classmethod
    def of_hit(cls, hit: Hit) -> HitBody:
        return cls(score=hit.score, **_fields(hit.key, hit.payload))


class TookBody(BaseModel):
    """Where the time went, in milliseconds."""

    encode: float = Field(examples=[8.4])
    search: float = Field(examples=[3.1])


class FoundBody(BaseModel):
    """The hits, best first."""

    hits: list[HitBody]
    space: str = Field(description="The vector space they were compared in.", examples=["builtin-small-1a2b3c4d"])
    took_ms: TookBody

    @classmethod
    def of(cls, found: Found) -> FoundBody:
        took = TookBody(encode=round(found.encode_ms, 2), search=round(found.search_ms, 2))
        return cls(hits=[HitBody.of_hit(hit) for hit in found.hits], space=found.space, took_ms=took)


class HealthBody(BaseModel):
    """Whether queries can be answered."""

    status: str = Field(examples=["ok"])
    index: bool = Field(description="Whether the index answers.")
    space: str = Field(description="The vector space queries are encoded into.", examples=["builtin-small-1a2b3c4d"])
    products: int | None = Field(description="How many are live; null while the index is silent.", examples=[1284])
    message: str = Field(default="", description="What is wrong, while something is.")


class Problem(BaseModel):
    """What went wrong: `type` for programs, `message` for people."""

    type: str = Field(examples=["invalid"])
    message: str = Field(examples=["limit: 0 is not between 1 and 1000"])
    field: str | None = Field(default=None, description="The field at fault, where it is one field.")
    state: ImageState | None = Field(default=None, description="What is wrong with the image, where it is the image.")


class ErrorBody(BaseModel):
    """Every answer that is not a success."""

    error: Problem


def _fields(key: Key, payload: Payload) -> dict[str, Any]:
    said = {name: payload.get(name) for name in ("price", "currency", "available", "content_version", "offer_version")}
    images = addresses(key, payload)
    return {
        "id": key.id,
        "tenant": key.tenant,
        "title": payload.get("title") or "",
        "images": images,
        "photo": address(key) if images else None,
        "attributes": payload.get("attributes") or {},
        "event_time": payload.get("event_time"),
        "image_state": payload.get("image_state"),
        "image_reason": payload.get("image_reason") or "",
        **said,
    }
