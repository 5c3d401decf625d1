"""A shop's changes one by one: price patches, puts that change nothing, new content, and what goes wrong."""

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
    """One event, ready to be sent. `version` is its own: no two events share one."""

    kind: str
    key: ProductKey
    version: int
    value: bytes


class EventGenerator:
    """Draws changes to a shop whose shelf holds `events`, and knows what the shelf holds after them.

    Versions are milliseconds since the epoch, at least one apart, so they grow from event to event.
    """

    def __init__(self, events: Iterable[Event], *, rng: random.Random, patches: bool = True) -> None:
        """Without `patches` a price comes with the whole product."""
        self._rng = rng
        self._patches = patches
        self._puts: dict[str, Event] = {event["id"]: event for event in events}
        self._shelf = list(self._puts)
        self._off: list[str] = []
        self._version = int(time.time() * 1000)
        self.no_photo: set[str] = set()
        self.bad = 0

    @property
    def live(self) -> int:
        """Products on the shelf."""
        return len(self._shelf)

    def whole(self) -> Iterable[GeneratedEvent]:
        """Every product as it is, for a start."""
        return (self._made("put", put) for put in list(self._puts.values()))

    def draw(self, weights: Mapping[str, float]) -> GeneratedEvent:
        """One change, its kind by these weights, of a product on the shelf."""
        kind = self._rng.choices(list(weights), list(weights.values()))[0]
        made: GeneratedEvent = getattr(self, f"_{kind}")()
        return made

    def fresh(self, event: Event) -> GeneratedEvent:
        """A product the shelf has not held."""
        self._puts[event["id"]] = event
        self._shelf.append(event["id"])
        return self._made("content", event)

    def _price(self) -> GeneratedEvent:
        price = round(self._rng.uniform(1, 500), 2)
        id_ = self._any()
        if not self._patches:
            return self._made("price", {**self._puts[id_], "offer": {"price": price}})
        return self._made("price", {"op": "patch", "id": id_, "offer": {"price": price}})

    def _same(self) -> GeneratedEvent:
        return self._made("same", self._puts[self._any()])

    def _content(self) -> GeneratedEvent:
        if self._off and self._rng.random() < 0.5:
            self._shelf.append(self._off.pop())
            id_ = self._shelf[-1]
        else:
            id_ = self._any()
        return self._changed("content", id_, self._photo(id_))

    def _no_photo(self) -> GeneratedEvent:
        return self._changed("no_photo", self._any(), [NO_PHOTO])

    def _delete(self) -> GeneratedEvent:
        at = self._rng.randrange(len(self._shelf))
        id_ = self._shelf[at]
        self._shelf[at] = self._shelf[-1]
        self._shelf.pop()
        self._off.append(id_)
        self.no_photo.discard(id_)
        return self._made("delete", {"op": "delete", "id": id_})

    def _bad(self) -> GeneratedEvent:
        self.bad += 1
        key = ProductKey("default", self._any())
        return GeneratedEvent(
            "bad", key, 0, self._rng.choice([b'{"op": "put"', b'{"id": "1", "offer": {"price": -1}}', b"\xff"])
        )

    def _any(self) -> str:
        return self._rng.choice(self._shelf)

    def _changed(self, kind: str, id_: str, images: list[str]) -> GeneratedEvent:
        title = self._puts[id_].get("title", "").partition(" / ")[0]
        self._puts[id_] = {**self._puts[id_], "title": f"{title} / {self._rng.randrange(10**6)}", "images": images}
        (self.no_photo.add if images == [NO_PHOTO] else self.no_photo.discard)(id_)
        return self._made(kind, self._puts[id_])

    def _photo(self, id_: str) -> list[str]:
        """A photo nobody has seen where the product's is at hand; elsewhere another product's."""
        images: list[str] = self._puts[id_].get("images", [])
        data = _at_hand(images[0]) if images else None
        if data is None:
            other: list[str] = self._puts[self._any()].get("images", images)
            return other
        photo = Image.open(io.BytesIO(data)).convert("RGB")
        side = max(2, min(photo.size) // 4)
        spot = (self._rng.randrange(photo.width - side), self._rng.randrange(photo.height - side))
        photo.paste(tuple(self._rng.randrange(256) for _ in range(3)), (*spot, spot[0] + side, spot[1] + side))
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=90)
        return [JPEG + base64.b64encode(file.getvalue()).decode()]

    def _made(self, kind: str, event: Event) -> GeneratedEvent:
        self._version += 1
        value = json.dumps({**event, "version": self._version}, ensure_ascii=False, separators=(",", ":"))
        return GeneratedEvent(kind, ProductKey("default", event["id"]), self._version, value.encode())


def _at_hand(url: str) -> bytes | None:
    """The bytes of a photo that travels in its event or lies on this machine."""
    if url.startswith(JPEG):
        return base64.b64decode(url.removeprefix(JPEG))
    file = Path(unquote(urlsplit(url).path))
    return file.read_bytes() if url.startswith("file:") and file.is_file() else None
