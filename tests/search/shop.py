"""A shop of a few products behind the ports, for tests of the HTTP edge."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI
from PIL import Image

from catalog.domain.filters import AnyOf, Condition, Exists, Not
from catalog.domain.image_state import ImageState
from catalog.domain.index_query import IndexQuery
from catalog.domain.product import ProductKey, Scalar
from catalog.domain.space import FUSED, IMAGE, Space
from catalog.domain.state import Payload
from catalog.errors import ImageProblem, InvalidInput
from catalog.ports import CandidateColumns, Hit, Vector
from catalog.query.candidates import CandidateService
from catalog.query.query import Mode
from catalog.query.search import SearchService
from catalog.query.validate import QueryPolicy
from search import (
    Dependencies,
    KeyFile,
    ProductStream,
    ProductStreamPolicy,
    SearchPolicy,
    create_app,
    index_health,
    product_stream_routes,
)
from search.auth.caller import Caller, caller_of
from search.media import sniff

SPACE = Space(model="overlap", revision="1", preprocessing="none", vectors={FUSED: 64, IMAGE: 64})

UNCOUNTED = ("material",)  # attributes without an index


def photo(color: str = "teal", kind: str = "PNG") -> bytes:
    out = BytesIO()
    Image.new("RGB", (8, 8), color).save(out, kind)
    return out.getvalue()


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def product(title: str, **fields: object) -> Payload:
    base: Payload = {
        "live": True,
        "title": title,
        "images": [],
        "attributes": {"brand": "Arbour"},
        "price": 12.5,
        "currency": "EUR",
        "available": True,
        "content_version": 7,
        "offer_version": 9,
        "event_time": 1_732_245_000_123,
        "image_state": "none",
        "image_reason": "",
        "clock": {"base": [7, 0, ""], "patched": {}},
        "revision": "r",
        "fingerprint": "f",
    }
    return base | fields


def bag(text: str) -> Vector:
    """A vector (64,) of the letters of a text."""
    vector = np.full(64, 1e-3, np.float32)
    for letter in text.lower():
        vector[ord(letter) % 64] += 1
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


@dataclass
class Overlap:
    """A QueryEncoder that counts letters.

    A query takes `delay` seconds. `failure` is raised if set; `vector` is the result of every query if set.
    """

    space: Space = SPACE
    delay: float = 0.0
    failure: Exception | None = None
    vector: Vector | None = None
    calls: list[tuple[str | None, bytes | None]] = field(default_factory=list)

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        self.calls.append((text, image))
        await asyncio.sleep(self.delay)
        if self.failure is not None:
            raise self.failure
        if image is not None and sniff(image) is None:
            raise ImageProblem(ImageState.BROKEN, "these bytes are not an image that can be decoded")
        return bag(text or "a photo") if self.vector is None else self.vector


@dataclass
class Window:
    """ProductReader, VectorReader, FacetReader, RecentProducts and CandidateReader over a dict.

    Vectors count the letters of titles; the lexical score is the number of matching words.

    `failure` is raised by all methods, `uncounted` by facets only; `queries` are the searches received. An answer of
    more than `slow_above` hits takes a minute.
    """

    products: dict[ProductKey, Payload] = field(default_factory=dict)
    failure: Exception | None = None
    delay: float = 0.0
    slow_above: int | None = None
    uncounted: Exception | None = None
    count_delay: float = 0.0
    queries: list[IndexQuery] = field(default_factory=list)
    polls: int = 0

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return self.queries[-1].conditions

    async def search(self, query: IndexQuery) -> list[Hit]:
        await self._answer()
        if self.slow_above is not None and query.limit > self.slow_above:
            await asyncio.sleep(60)
        self.queries.append(query)
        hits = [Hit(k, _score(p, query), p) for k, p in self._live(query.conditions) if k not in query.without]
        matches = [hit for hit in hits if hit.score > 0 or query.vector is not None]
        return sorted(matches, key=lambda hit: -hit.score)[query.offset : query.offset + query.limit]

    async def candidates(self, query: IndexQuery, *, fields: Sequence[str] = ()) -> CandidateColumns:
        hits = await self.search(query)
        return CandidateColumns(
            [hit.key.tenant for hit in hits],
            [hit.key.id for hit in hits],
            np.array([hit.score for hit in hits], np.float32),
            np.array([hit.payload["content_version"] for hit in hits], np.int64),
            np.array([hit.payload["offer_version"] for hit in hits], np.int64),
            {name: [_value(hit.key, hit.payload, name) for hit in hits] for name in fields},
        )

    async def get(self, key: ProductKey) -> Payload | None:
        await self._answer()
        payload = self.products.get(key)
        return payload if payload and payload["live"] else None

    async def count(self, conditions: Sequence[Condition] = ()) -> int:
        await self._answer()
        return len(self._live(conditions))

    async def vectors(self, key: ProductKey) -> dict[str, Vector] | None:
        payload = await self.get(key)
        if payload is None:
            return None
        vectors = {FUSED: bag(payload["title"])}
        return vectors | {IMAGE: bag(payload["title"][::2])} if payload["images"] else vectors

    async def fields(self, conditions: Sequence[Condition] = ()) -> dict[str, str]:
        await self._answer()
        own = {"price": "number", "currency": "keyword", "available": "bool", "tenant": "keyword"}
        named = ("brand", "category", "color", "parent", *UNCOUNTED)
        return own | {f"attributes.{name}": "keyword" for name in named}

    async def countable(self) -> set[str]:
        return {*await self.fields()} - {"price", *(f"attributes.{name}" for name in UNCOUNTED)}

    async def facet(self, field: str, conditions: Sequence[Condition], *, limit: int) -> list[tuple[Scalar, int]]:
        await asyncio.sleep(self.count_delay)
        await self._answer()
        if self.uncounted is not None:
            raise self.uncounted
        if field not in await self.countable():
            raise InvalidInput(f"the values of {field!r} cannot be counted")
        counts = Counter(value for key, payload in self._live(conditions) for value in _values(key, payload, field))
        return sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))[:limit]

    def _live(self, conditions: Sequence[Condition]) -> list[tuple[ProductKey, Payload]]:
        live = [(key, payload) for key, payload in self.products.items() if payload["live"]]
        return [(key, payload) for key, payload in live if all(_holds(key, payload, c) for c in conditions)]

    async def newest(self, conditions: Sequence[Condition] = (), *, limit: int) -> list[tuple[ProductKey, Payload]]:
        self.polls += 1
        await self._answer()
        return sorted(self._live(conditions), key=lambda each: -each[1]["event_time"])[:limit]

    async def _answer(self) -> None:
        await asyncio.sleep(self.delay)
        if self.failure is not None:
            raise self.failure


def _score(payload: Payload, query: IndexQuery) -> float:
    words = {word for word in (query.words or "").lower().split() if word in payload["title"].lower().split()}
    return len(words) + (0.0 if query.vector is None else float(bag(payload["title"]) @ query.vector))


def _value(key: ProductKey, payload: Payload, field: str) -> Any:
    value: Any = {**payload, "tenant": key.tenant}
    for part in field.split(".", 1):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _values(key: ProductKey, payload: Payload, field: str) -> list[Scalar]:
    value = _value(key, payload, field)
    return [member for member in (value if isinstance(value, list) else [value]) if member is not None]


def _holds(key: ProductKey, payload: Payload, condition: Condition) -> bool:
    if isinstance(condition, Not):
        return not _holds(key, payload, condition.of)
    values = _values(key, payload, condition.field)
    if isinstance(condition, Exists):
        return bool(values)
    if isinstance(condition, AnyOf):
        return any(member in condition.values for member in values)
    low = -np.inf if condition.gte is None else condition.gte
    high = np.inf if condition.lte is None else condition.lte
    return any(isinstance(value, int | float) and low <= value <= high for value in values)


@dataclass
class Album:
    """An ImageSource over a dict; data URLs hold their own bytes, like the real ImageSource."""

    photos: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    async def fetch(self, url: str) -> bytes:
        self.calls.append(url)
        if url.startswith("data:"):
            return base64.b64decode(url.partition(",")[2])
        if url not in self.photos:
            raise ImageProblem(ImageState.MISSING, f"there is no image at {url}")
        return self.photos[url]


QUICK = ProductStreamPolicy(poll_interval_s=0.02, poll_limit=8, max_listeners=4, max_queued=8, keep_alive_s=0.2)
SMALL = SearchPolicy(max_upload=200_000)


@dataclass
class Shop:
    """The dependencies of a search service, and its app."""

    shelf: Window = field(default_factory=Window)
    encoder: Overlap = field(default_factory=Overlap)
    images: Album = field(default_factory=Album)
    policy: SearchPolicy = SMALL
    finding: QueryPolicy = QueryPolicy(mode=Mode.DENSE)
    keys: KeyFile | None = None
    caller: Caller | None = None
    now: float = 1_732_245_010.0
    live: ProductStreamPolicy = QUICK

    def search_service(self) -> SearchService:
        return SearchService(
            product_reader=self.shelf,
            vector_reader=self.shelf,
            facet_reader=self.shelf,
            encoder=self.encoder,
            policy=self.finding,
        )

    def app(self, live: ProductStream | None = None) -> FastAPI:
        """The app. Every request comes from `caller` if it is set."""
        search_service = self.search_service()
        dependencies = Dependencies(
            search_service=search_service,
            candidate_service=CandidateService(candidate_reader=self.shelf, search_service=search_service),
            product_reader=self.shelf,
            images=self.images,
            health=index_health(self.shelf, space=SPACE.id, timeout_s=0.5),
            collection="products--overlap",
        )
        routes = product_stream_routes(live or ProductStream(self.shelf, self.live, clock=lambda: self.now))
        app = create_app(dependencies, routers=[routes], policy=self.policy, keys=self.keys, clock=lambda: self.now)
        if self.caller is not None:
            app.dependency_overrides[caller_of] = lambda: self.caller
        return app

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app()), base_url="http://shop.test")


def stocked() -> Shop:
    """Five products: with photos on the web, inline, in a file and none; one with a slash in its id; one deleted."""
    shop = Shop()
    shop.images.photos["file:///photos/lamp.png"] = photo("gold")
    shop.images.photos["file:///photos/page.png"] = b"<html><script>alert(1)</script></html>"
    shop.images.photos["file:///photos/drawing.svg"] = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
    shop.shelf.products = {
        ProductKey("default", "mug"): product(
            "sea green mug", images=["https://images.example/mug.jpg"], image_state="ok"
        ),
        ProductKey("default", "lamp"): product(
            "brass lamp",
            images=[
                "file:///photos/lamp.png",
                data_url(photo("gold")),
                "file:///photos/page.png",
                "file:///photos/drawing.svg",
            ],
            price=80.0,
            attributes={"brand": "Lumen", "category": ["lamps", "desk"]},
        ),
        ProductKey("other", "mug"): product("another shop's mug", available=None, price=None, currency=None),
        ProductKey("default", "mug/blue"): product("blue mug", available=False),
        ProductKey("default", "gone"): product("deleted mug", live=False),
    }
    return shop
