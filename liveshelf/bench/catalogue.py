"""A catalogue's products as events, and the encoder alone on them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from catalog.change import Put
from catalog.events import Contract, Parsed, parse
from catalog.product import Content
from catalog.record import Record
from liveshelf.settings import Settings
from liveshelf.wiring import encoder_of
from streams.backfill import Catalogue, Row
from streams.publisher import Event

BATCH = 64


def products(path: Path, limit: int | None = None, *, version: int = 1) -> Iterator[Event]:
    """The catalogue's first products as put events; rows that are none are left out."""
    rows = (row.event for row in Catalogue(path, version=version) if isinstance(row, Row))
    return islice(rows, limit)


def contents(events: Iterable[Event]) -> list[Content]:
    """The titles and photos of put events, as the worker reads them."""
    found = []
    for event in events:
        parsed = parse(Record(None, json.dumps(event).encode(), "", 0, 0, 0), Contract())
        if isinstance(parsed, Parsed) and isinstance(parsed.change, Put):
            found.append(parsed.change.product.content)
    return found


async def encode_rate(settings: Settings, items: Sequence[Content]) -> float:
    """Items a second of the encoder alone, photos fetched and decoded: no Kafka, no index, batch after batch."""
    async with encoder_of(settings) as encoder:
        started = time.perf_counter()
        for start in range(0, len(items), BATCH):
            await encoder.encode(await encoder.prepare(items[start : start + BATCH]))
        return len(items) / (time.perf_counter() - started)
