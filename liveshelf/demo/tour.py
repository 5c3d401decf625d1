"""The demo's steps: three searches and three changes, each with a check of its result."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from liveshelf import sample
from streams.publish.publisher import Event, Publisher

PATIENCE_S = 15.0
PHOTO_SEED = 11


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step: the query or change, its result, and whether the result is correct."""

    title: str
    detail: str
    hits: list[Mapping[str, Any]]
    note: str
    passed: bool


class Tour:
    """Steps over a running search service with the sample catalogue. `folder` is the catalogue's folder."""

    def __init__(self, *, search: httpx.Client, live: Publisher, folder: Path, photos: Path) -> None:
        """`photos` is a folder that the worker may read, for changed photos."""
        self._search = search
        self._live = live
        self._folder = folder
        self._photos = photos
        with (folder / "products.jsonl").open(encoding="utf-8") as lines:
            self._products: dict[str, Event] = {e["id"]: e for e in map(json.loads, lines)}
        self._seen = sample.seen(folder)

    def by_words(self) -> StepResult:
        """Searches by words of a title."""
        product = next(iter(self._products.values()))
        words = product["title"].partition(",")[0]
        hits, ms = self.find(text=words)
        return StepResult(
            "By words of a title", f"“{words}”", hits[:3], f"{ms:.0f} ms", hits[0]["title"] == product["title"]
        )

    def by_look(self) -> StepResult:
        """Searches by a colour, which no title contains."""
        colour, kind = self._common_look()
        hits, ms = self.find(text=f"{colour} {kind}")
        looks = [self._seen[h["id"]].look for h in hits[:5]]
        matching = sum((look.colour, look.kind) == (colour, kind) for look in looks)
        note = f"{ms:.0f} ms; {matching} of the first 5 are {colour} {kind}s, and no title says a colour"
        return StepResult("By what only the photos show", f"“{colour} {kind}”", hits[:3], note, matching >= 3)

    def by_image(self) -> StepResult:
        """Searches by a photo of a thing that is not in the catalogue."""
        spec = sample.unseen(self._folder, "chair", PHOTO_SEED)
        hits, ms = self.find(image=sample.jpeg(sample.photo(spec)))
        matching = sum(self._seen[h["id"]].look.kind == spec.look.kind for h in hits[:5])
        detail = f"a new photo of a {spec.look.colour} {spec.look.pattern} {spec.look.kind}"
        return StepResult(
            "By a photo",
            detail,
            hits[:3],
            f"{ms:.0f} ms; {matching} of the first 5 are {spec.look.kind}s",
            matching >= 4,
        )

    def new_price(self) -> StepResult:
        """Sends a price patch and waits until a search shows the new price."""
        product = list(self._products.values())[1]
        price = round(product["offer"]["price"] * 0.75, 2)
        patch = {"op": "patch", "id": product["id"], "offer": {"price": price}}
        hits, ms = self._send_and_search(
            patch, {"text": product["title"]}, lambda h: _hit_of(h, product).get("price") == price
        )
        detail = f"{product['title']}: {product['offer']['price']:.2f} to {price:.2f} {product['offer']['currency']}"
        return StepResult(
            "A price changes", detail, _only(hits, product), f"searchable {ms:.0f} ms after its event", ms > 0
        )

    def new_photo(self) -> StepResult:
        """Sends a put with another photo and waits until a search by the new look has the product in the top 3."""
        product = list(self._products.values())[2]
        before = self._seen[product["id"]].look
        after = replace(before, colour="purple" if before.colour != "purple" else "orange", pattern="hearts")
        photo = self._photos / f"{product['id']}-new.jpg"
        photo.write_bytes(sample.redraw(product["id"], self._folder, colour=after.colour, pattern=after.pattern))
        query = sample.redraw(product["id"], self._folder, view=5, colour=after.colour, pattern=after.pattern)
        hits, _ = self.find(image=query, limit=1000)
        rank = next((i for i, h in enumerate(hits, start=1) if h["id"] == product["id"]), None)
        put = {**product, "images": [photo.as_uri()], "version": int(time.time() * 1000)}
        hits, ms = self._send_and_search(
            put, {"image": query}, lambda h: _hit_of(h[:3], product).get("content_version") == put["version"]
        )
        detail = f"{product['title']}: {before.colour} {before.pattern} to {after.colour} {after.pattern}"
        was = f"was {rank}. of 1,000 for its new look" if rank else "was not among 1,000 for its new look"
        note = f"searchable {ms:.0f} ms after its event; {was}, is {_rank(hits, product)}."
        return StepResult("A photo changes", detail, _only(hits, product), note, ms > 0)

    def deletion(self) -> StepResult:
        """Sends a delete and waits until a search no longer shows the product."""
        product = list(self._products.values())[3]
        delete = {"op": "delete", "id": product["id"]}
        hits, ms = self._send_and_search(delete, {"text": product["title"]}, lambda h: not _hit_of(h, product))
        return StepResult(
            "A product is deleted", product["title"], hits[:1], f"gone {ms:.0f} ms after its event", ms > 0
        )

    def find(self, *, text: str | None = None, image: bytes | None = None, limit: int = 50) -> tuple[list[Any], float]:
        """Searches. Returns the hits and the latency in milliseconds."""
        started = time.perf_counter()
        if image is None:
            response = self._search.post("/v1/search", json={"text": text, "limit": limit})
        else:
            response = self._search.post(
                "/v1/search", data={"limit": str(limit)}, files={"image": ("query.jpg", image)}
            )
        response.raise_for_status()
        return response.json()["hits"], (time.perf_counter() - started) * 1000

    def _send_and_search(
        self, event: Event, query: dict[str, Any], condition: Callable[[list[Any]], bool]
    ) -> tuple[list[Any], float]:
        """Sends the event and searches until `condition` is true of the hits.

        Returns the last hits, and the milliseconds since the event; 0 if the condition never became true.
        """
        started = time.perf_counter()
        self._live.send_event({"version": int(time.time() * 1000), **event})
        while time.perf_counter() - started < PATIENCE_S:
            hits, _ = self.find(**query)
            if condition(hits):
                return hits, (time.perf_counter() - started) * 1000
        return hits, 0.0

    def _common_look(self) -> tuple[str, str]:
        """The most frequent pair of colour and kind."""
        looks = [spec.look for spec in self._seen.values()]
        return Counter((look.colour, look.kind) for look in looks).most_common(1)[0][0]


def _hit_of(hits: list[Any], product: Event) -> Mapping[str, Any]:
    return next((h for h in hits if h["id"] == product["id"]), {})


def _only(hits: list[Any], product: Event) -> list[Mapping[str, Any]]:
    return [h for h in hits if h["id"] == product["id"]]


def _rank(hits: list[Any], product: Event) -> int:
    return next((i for i, h in enumerate(hits, start=1) if h["id"] == product["id"]), 0)
