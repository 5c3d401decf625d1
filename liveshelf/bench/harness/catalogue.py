"""A catalogue's products as events, and the rate of the encoder alone on them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from catalog.domain.change import Put
from catalog.domain.image_state import ImageState
from catalog.domain.product import Content
from catalog.domain.record import Record
from catalog.errors import ImageProblem
from catalog.events.parser import ParsedEvent, ParserConfig, parse
from encoders.images import ImageFetcher
from liveshelf.settings import Settings
from liveshelf.wiring.encoder import encoder_of, image_policy_of
from streams.publish.catalogue_files import Catalogue, CatalogueRow
from streams.publish.publisher import Event

BATCH = 64


def products(path: Path, limit: int | None = None, *, version: int = 1) -> Iterator[Event]:
    """The catalogue's first `limit` products as put events of this version, all of one tenant.

    Skips rows that are not valid products, and rows that repeat an id.
    """
    return islice(_without_repeats(path, version), limit)


def _without_repeats(path: Path, version: int) -> Iterator[Event]:
    seen: set[str] = set()
    for row in Catalogue(path, version=version):
        if isinstance(row, CatalogueRow) and (id_ := str(row.event["id"])) not in seen:
            event = {name: value for name, value in row.event.items() if name != "tenant"} | {"version": version}
            if _content(event) is not None:
                seen.add(id_)
                yield event


class PrefetchedImages:
    """A catalogue's photos, fetched before the measurement starts."""

    def __init__(self) -> None:
        self._photos: dict[str, bytes] = {}

    async def load(self, settings: Settings, items: Sequence[Content]) -> Sequence[Content]:
        """Fetches each item's first available photo. Returns the items with only that photo."""
        async with ImageFetcher(image_policy_of(settings)) as images:
            return [replace(item, images=await self._first(images, item.images)) for item in items]

    async def fetch(self, url: str) -> bytes:
        """Implements ImageSource."""
        if url not in self._photos:
            raise ImageProblem(ImageState.MISSING, "not fetched before the measurement")
        return self._photos[url]

    async def _first(self, images: ImageFetcher, urls: Sequence[str]) -> tuple[str, ...]:
        for url in urls:
            try:
                self._photos[url] = await images.fetch(url)
            except ImageProblem:
                continue
            return (url,)
        return ()


def contents(events: Iterable[Event]) -> list[Content]:
    """The titles and photos of put events, as the worker reads them."""
    return [content for event in events if (content := _content(event)) is not None]


def _content(event: Event) -> Content | None:
    """The content of a put; None for other events."""
    parsed = parse(Record(None, json.dumps(event).encode(), "", 0, 0, 0), ParserConfig())
    put = parsed.change if isinstance(parsed, ParsedEvent) else None
    return put.product.content if isinstance(put, Put) else None


async def encode_rate(settings: Settings, items: Sequence[Content]) -> float:
    """Items a second of the encoder alone, batch after batch, with fetching and decoding; no Kafka and no index."""
    async with encoder_of(settings) as encoder:
        started = time.perf_counter()
        for start in range(0, len(items), BATCH):
            await encoder.encode(await encoder.prepare(items[start : start + BATCH]))
        return len(items) / (time.perf_counter() - started)
