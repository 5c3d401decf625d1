"""Generates a shop's events: price patches, puts that change nothing, new content, and faulty events."""

from __future__ import annotations

import base64
import io
import json
import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from PIL import Image

from catalog.domain.product import ProductKey
from streams.publish.publisher import Event

JPEG = "data:image/jpeg;base64,"
NO_PHOTO = "file:///nowhere/no-photo.jpg"

MIX = {"price": 60, "same": 25, "content": 15}
TROUBLED = {**MIX, "delete": 0.5, "bad": 0.5, "no_photo": 1.0}


@dataclass(frozen=True, slots=True)
class GeneratedEvent:
    """One event, ready to send. `version` is unique."""

    kind: str
    key: ProductKey
    version: int
    value: bytes


class EventGenerator:
    """Draws random changes to the products of `events`, and tracks the state after them.

    Versions are milliseconds since the epoch and increase with every event.
    """

    def __init__(self, events: Iterable[Event], *, rng: random.Random, patches: bool = True) -> None:
        """Without `patches`, a price change is a put of the full product."""
        self._rng = rng
        self._patches = patches
        self._puts: dict[str, Event] = {event["id"]: event for event in events}
        self._shelf = list(self._puts)
        self._deleted: list[str] = []
        self._version = int(time.time() * 1000)
        self.no_photo: set[str] = set()
        self.bad = 0

    @property
    def live(self) -> int:
        """The number of live products."""
        return len(self._shelf)

    def all_puts(self) -> Iterable[GeneratedEvent]:
        """A put of every product, to load the catalogue."""
        return (self._next_event("put", put) for put in list(self._puts.values()))

    def draw(self, weights: Mapping[str, float]) -> GeneratedEvent:
        """A random change of a live product; `weights` gives the odds of each kind."""
        kind = self._rng.choices(list(weights), list(weights.values()))[0]
        event: GeneratedEvent = getattr(self, f"_{kind}")()
        return event

    def new_product(self, event: Event) -> GeneratedEvent:
        """A put of a product that the index has never had."""
        self._puts[event["id"]] = event
        self._shelf.append(event["id"])
        return self._next_event("content", event)

    def _price(self) -> GeneratedEvent:
        price = round(self._rng.uniform(1, 500), 2)
        id_ = self._random_id()
        if not self._patches:
            return self._next_event("price", {**self._puts[id_], "offer": {"price": price}})
        return self._next_event("price", {"op": "patch", "id": id_, "offer": {"price": price}})

    def _same(self) -> GeneratedEvent:
        return self._next_event("same", self._puts[self._random_id()])

    def _content(self) -> GeneratedEvent:
        if self._deleted and self._rng.random() < 0.5:
            self._shelf.append(self._deleted.pop())
            id_ = self._shelf[-1]
        else:
            id_ = self._random_id()
        return self._with_content("content", id_, self._photo(id_))

    def _no_photo(self) -> GeneratedEvent:
        return self._with_content("no_photo", self._random_id(), [NO_PHOTO])

    def _delete(self) -> GeneratedEvent:
        at = self._rng.randrange(len(self._shelf))
        id_ = self._shelf[at]
        self._shelf[at] = self._shelf[-1]
        self._shelf.pop()
        self._deleted.append(id_)
        self.no_photo.discard(id_)
        return self._next_event("delete", {"op": "delete", "id": id_})

    def _bad(self) -> GeneratedEvent:
        self.bad += 1
        key = ProductKey("default", self._random_id())
        return GeneratedEvent(
            "bad", key, 0, self._rng.choice([b'{"op": "put"', b'{"id": "1", "offer": {"price": -1}}', b"\xff"])
        )

    def _random_id(self) -> str:
        return self._rng.choice(self._shelf)

    def _with_content(self, kind: str, id_: str, images: list[str]) -> GeneratedEvent:
        title = self._puts[id_].get("title", "").partition(" / ")[0]
        self._puts[id_] = {**self._puts[id_], "title": f"{title} / {self._rng.randrange(10**6)}", "images": images}
        (self.no_photo.add if images == [NO_PHOTO] else self.no_photo.discard)(id_)
        return self._next_event(kind, self._puts[id_])

    def _photo(self, id_: str) -> list[str]:
        """A new photo, made from the product's if that is local; otherwise another product's photo."""
        images: list[str] = self._puts[id_].get("images", [])
        data = _local_photo(images[0]) if images else None
        if data is None:
            other: list[str] = self._puts[self._random_id()].get("images", images)
            return other
        photo = Image.open(io.BytesIO(data)).convert("RGB")
        side = max(2, min(photo.size) // 4)
        spot = (self._rng.randrange(photo.width - side), self._rng.randrange(photo.height - side))
        photo.paste(tuple(self._rng.randrange(256) for _ in range(3)), (*spot, spot[0] + side, spot[1] + side))
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=90)
        return [JPEG + base64.b64encode(file.getvalue()).decode()]

    def _next_event(self, kind: str, event: Event) -> GeneratedEvent:
        self._version += 1
        value = json.dumps({**event, "version": self._version}, ensure_ascii=False, separators=(",", ":"))
        return GeneratedEvent(kind, ProductKey("default", event["id"]), self._version, value.encode())


def _local_photo(url: str) -> bytes | None:
    """The bytes of a photo in a data URL or a local file; None for others."""
    if url.startswith(JPEG):
        return base64.b64decode(url.removeprefix(JPEG))
    file = Path(unquote(urlsplit(url).path))
    return file.read_bytes() if url.startswith("file:") and file.is_file() else None
