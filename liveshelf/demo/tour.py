"""What the demo shows: three searches, three changes, each checked against what it should show."""

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
    """One step: what was asked or done, what came of it, and whether it is what it should be."""

    title: str
    said: str
    hits: list[Mapping[str, Any]]
    note: str
    right: bool


class Tour:
    """Steps over a running search service that holds the sample catalogue. `folder` is the catalogue's."""

    def __init__(self, *, search: httpx.Client, live: Publisher, folder: Path, photos: Path) -> None:
        """`photos` is a folder the worker may read, for photos that change."""
        self._search = search
        self._live = live
        self._folder = folder
        self._photos = photos
        with (folder / "products.jsonl").open(encoding="utf-8") as lines:
            self._products: dict[str, Event] = {e["id"]: e for e in map(json.loads, lines)}
        self._seen = sample.seen(folder)

    def by_words(self) -> StepResult:
        """Words that stand in a title."""
        wanted = next(iter(self._products.values()))
        words = wanted["title"].partition(",")[0]
        hits, ms = self.find(text=words)
        return StepResult(
            "By words of a title", f"“{words}”", hits[:3], f"{ms:.0f} ms", hits[0]["title"] == wanted["title"]
        )

    def by_look(self) -> StepResult:
        """Something that no title says: what colour a thing is."""
        colour, kind = self._common_look()
        hits, ms = self.find(text=f"{colour} {kind}")
        found = [self._seen[h["id"]].look for h in hits[:5]]
        same = sum((f.colour, f.kind) == (colour, kind) for f in found)
        note = f"{ms:.0f} ms; {same} of the first 5 are {colour} {kind}s, and no title says a colour"
        return StepResult("By what only the photos show", f"“{colour} {kind}”", hits[:3], note, same >= 3)

    def by_image(self) -> StepResult:
        """A photo that is not in the catalogue, of a thing that is not in it."""
        spec = sample.unseen(self._folder, "chair", PHOTO_SEED)
        hits, ms = self.find(image=sample.jpeg(sample.photo(spec)))
        same = sum(self._seen[h["id"]].look.kind == spec.look.kind for h in hits[:5])
        said = f"a new photo of a {spec.look.colour} {spec.look.pattern} {spec.look.kind}"
        return StepResult(
            "By a photo", said, hits[:3], f"{ms:.0f} ms; {same} of the first 5 are {spec.look.kind}s", same >= 4
        )

    def new_price(self) -> StepResult:
        """A price patch, until a search shows it."""
        wanted = list(self._products.values())[1]
        price = round(wanted["offer"]["price"] * 0.75, 2)
        patch = {"op": "patch", "id": wanted["id"], "offer": {"price": price}}
        hits, ms = self._until(patch, {"text": wanted["title"]}, lambda h: _of(h, wanted).get("price") == price)
        said = f"{wanted['title']}: {wanted['offer']['price']:.2f} to {price:.2f} {wanted['offer']['currency']}"
        return StepResult(
            "A price changes", said, _only(hits, wanted), f"searchable {ms:.0f} ms after its event", ms > 0
        )

    def new_photo(self) -> StepResult:
        """A put with another photo, until a search by its look finds the product first."""
        wanted = list(self._products.values())[2]
        before = self._seen[wanted["id"]].look
        after = replace(before, colour="purple" if before.colour != "purple" else "orange", pattern="hearts")
        photo = self._photos / f"{wanted['id']}-new.jpg"
        photo.write_bytes(sample.redraw(wanted["id"], self._folder, colour=after.colour, pattern=after.pattern))
        query = sample.redraw(wanted["id"], self._folder, view=5, colour=after.colour, pattern=after.pattern)
        hits, _ = self.find(image=query, limit=1000)
        rank = next((i for i, h in enumerate(hits, start=1) if h["id"] == wanted["id"]), None)
        put = {**wanted, "images": [photo.as_uri()], "version": int(time.time() * 1000)}
        hits, ms = self._until(
            put, {"image": query}, lambda h: _of(h[:3], wanted).get("content_version") == put["version"]
        )
        said = f"{wanted['title']}: {before.colour} {before.pattern} to {after.colour} {after.pattern}"
        was = f"was {rank}. of 1,000 for its new look" if rank else "was not among 1,000 for its new look"
        note = f"searchable {ms:.0f} ms after its event; {was}, is {_rank(hits, wanted)}."
        return StepResult("A photo changes", said, _only(hits, wanted), note, ms > 0)

    def deletion(self) -> StepResult:
        """A delete, until no search shows the product."""
        wanted = list(self._products.values())[3]
        delete = {"op": "delete", "id": wanted["id"]}
        hits, ms = self._until(delete, {"text": wanted["title"]}, lambda h: not _of(h, wanted))
        return StepResult(
            "A product is deleted", wanted["title"], hits[:1], f"gone {ms:.0f} ms after its event", ms > 0
        )

    def find(self, *, text: str | None = None, image: bytes | None = None, limit: int = 50) -> tuple[list[Any], float]:
        """The hits, and the milliseconds the answer took."""
        started = time.perf_counter()
        if image is None:
            answer = self._search.post("/v1/search", json={"text": text, "limit": limit})
        else:
            answer = self._search.post("/v1/search", data={"limit": str(limit)}, files={"image": ("query.jpg", image)})
        answer.raise_for_status()
        return answer.json()["hits"], (time.perf_counter() - started) * 1000

    def _until(
        self, event: Event, query: dict[str, Any], holds: Callable[[list[Any]], bool]
    ) -> tuple[list[Any], float]:
        """Sends the event and searches until it shows: the hits then, and the milliseconds since; 0 if it never did."""
        started = time.perf_counter()
        self._live.send_event({"version": int(time.time() * 1000), **event})
        while time.perf_counter() - started < PATIENCE_S:
            hits, _ = self.find(**query)
            if holds(hits):
                return hits, (time.perf_counter() - started) * 1000
        return hits, 0.0

    def _common_look(self) -> tuple[str, str]:
        """The colour and kind that most products have."""
        looks = [spec.look for spec in self._seen.values()]
        return Counter((look.colour, look.kind) for look in looks).most_common(1)[0][0]


def _of(hits: list[Any], wanted: Event) -> Mapping[str, Any]:
    return next((h for h in hits if h["id"] == wanted["id"]), {})


def _only(hits: list[Any], wanted: Event) -> list[Mapping[str, Any]]:
    return [h for h in hits if h["id"] == wanted["id"]]


def _rank(hits: list[Any], wanted: Event) -> int:
    return next((i for i, h in enumerate(hits, start=1) if h["id"] == wanted["id"]), 0)
