"""A shop of a few products behind the ports, for tests of the HTTP edge."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

import httpx
import numpy as np
from fastapi import FastAPI
from PIL import Image

from catalog.ask import Ask
from catalog.errors import ImageProblem
from catalog.filters import AnyOf, Condition
from catalog.find import Find
from catalog.gather import Gather
from catalog.ports import Columns, Hit, Vector
from catalog.product import ImageState, Key
from catalog.space import FUSED, Space
from catalog.state import Payload
from search import Keyring, SearchPolicy, create_app, index_health
from search.photo import sniff

SPACE = Space(model="overlap", revision="1", preprocessing="none", vectors={FUSED: 64})


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
    """A QueryEncoder that counts letters. `delay` is how many seconds a query takes; `failure` is raised if set."""

    space: Space = SPACE
    delay: float = 0.0
    failure: Exception | None = None
    asked: list[tuple[str | None, bytes | None]] = field(default_factory=list)

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        self.asked.append((text, image))
        await asyncio.sleep(self.delay)
        if self.failure is not None:
            raise self.failure
        if image is not None and sniff(image) is None:
            raise ImageProblem(ImageState.BROKEN, "these bytes are not an image that can be decoded")
        return bag(text or "a photo")


@dataclass
class Window:
    """A Shelf, and Candidates, over a dict. An answer of more than `slow_above` hits takes a minute."""

    products: dict[Key, Payload] = field(default_factory=dict)
    failure: Exception | None = None
    delay: float = 0.0
    slow_above: int | None = None
    conditions: tuple[Condition, ...] = ()

    async def search(self, ask: Ask) -> list[Hit]:
        await self._answer()
        if self.slow_above is not None and ask.limit > self.slow_above:
            await asyncio.sleep(60)
        wanted = bag(ask.words or "") if ask.vector is None else ask.vector
        self.conditions = ask.conditions
        live = [(k, p) for k, p in self.products.items() if p["live"] and all(_holds(k, p, c) for c in ask.conditions)]
        hits = [Hit(key, float(bag(payload["title"]) @ wanted), payload) for key, payload in live]
        return sorted(hits, key=lambda hit: -hit.score)[ask.offset : ask.offset + ask.limit]

    async def candidates(self, ask: Ask, *, fields: Sequence[str] = ()) -> Columns:
        hits = await self.search(ask)
        return Columns(
            [hit.key.tenant for hit in hits],
            [hit.key.id for hit in hits],
            np.array([hit.score for hit in hits], np.float32),
            np.array([hit.payload["content_version"] for hit in hits], np.int64),
            np.array([hit.payload["offer_version"] for hit in hits], np.int64),
            {name: [_value(hit.key, hit.payload, name) for hit in hits] for name in fields},
        )

    async def get(self, key: Key) -> Payload | None:
        await self._answer()
        payload = self.products.get(key)
        return payload if payload and payload["live"] else None

    async def count(self, conditions: Sequence[Condition] = ()) -> int:
        await self._answer()
        return sum(1 for payload in self.products.values() if payload["live"])

    async def _answer(self) -> None:
        await asyncio.sleep(self.delay)
        if self.failure is not None:
            raise self.failure


def _value(key: Key, payload: Payload, field: str) -> object:
    value: object = {**payload, "tenant": key.tenant}
    for part in field.split(".", 1):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _holds(key: Key, payload: Payload, condition: Condition) -> bool:
    value = _value(key, payload, condition.field)
    if isinstance(condition, AnyOf):
        return any(member in condition.values for member in (value if isinstance(value, list) else [value]))
    low = -np.inf if condition.gte is None else condition.gte
    high = np.inf if condition.lte is None else condition.lte
    return isinstance(value, int | float) and low <= value <= high


@dataclass
class Album:
    """An ImageSource over a dict; data URLs hold their own bytes, as the real one's do."""

    photos: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if url.startswith("data:"):
            return base64.b64decode(url.partition(",")[2])
        if url not in self.photos:
            raise ImageProblem(ImageState.MISSING, f"there is no image at {url}")
        return self.photos[url]


SMALL = SearchPolicy(max_upload=200_000, answer_within=2.0, read_within=2.0)


@dataclass
class Shop:
    """The parts of a search and the app made of them."""

    shelf: Window = field(default_factory=Window)
    encoder: Overlap = field(default_factory=Overlap)
    images: Album = field(default_factory=Album)
    policy: SearchPolicy = SMALL
    keys: Keyring | None = None

    def app(self) -> FastAPI:
        return create_app(
            find=Find(shelf=self.shelf, encoder=self.encoder),
            gather=Gather(candidates=self.shelf, encoder=self.encoder),
            shelf=self.shelf,
            images=self.images,
            health=index_health(self.shelf, space=SPACE.id, within=0.5),
            policy=self.policy,
            keys=self.keys,
        )

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app()), base_url="http://shop.test")


def stocked() -> Shop:
    """Five products: with photos on the web, inline, in a file and none; one with a slash in its id; one deleted."""
    shop = Shop()
    shop.images.photos["file:///photos/lamp.png"] = photo("gold")
    shop.images.photos["file:///photos/page.png"] = b"<html><script>alert(1)</script></html>"
    shop.images.photos["file:///photos/drawing.svg"] = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
    shop.shelf.products = {
        Key("default", "mug"): product("sea green mug", images=["https://images.example/mug.jpg"], image_state="ok"),
        Key("default", "lamp"): product(
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
        Key("other", "mug"): product("another shop's mug", available=None, price=None, currency=None),
        Key("default", "mug/blue"): product("blue mug", available=False),
        Key("default", "gone"): product("deleted mug", live=False),
    }
    return shop
