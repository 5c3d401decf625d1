"""Computes the products that a stream of events should leave in the index, and compares them with the index."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from catalog.errors import FatalError, InvalidInput
from indexer import connect, serving
from indexer.qdrant.client import PointsClient, including
from indexer.qdrant.filters import live_and
from indexer.qdrant.payload import payload_from
from liveshelf.settings import Settings, secret
from liveshelf.wiring.kafka import kafka_of
from streams.publish.publisher import Event
from streams.quarantine.topic import read_quarantine

PAGE = 1000


@dataclass(frozen=True)
class ExpectedState:
    """Title and price of each live product, by id. Events must be in the order of their versions."""

    products: Mapping[str, tuple[str, float | None]]

    @classmethod
    def of(cls, events: Iterable[Event]) -> ExpectedState:
        """Raises InvalidInput for a patch of a product without a put."""
        products: dict[str, tuple[str, float | None]] = {}
        for event in events:
            id_, price = str(event["id"]), (event.get("offer") or {}).get("price")
            match event.get("op", "put"):
                case "put":
                    products[id_] = ((event.get("title") or "").strip(), price)
                case "patch" if id_ in products:
                    products[id_] = (products[id_][0], price)
                case "delete":
                    products.pop(id_, None)
                case op:
                    raise InvalidInput(f"A {op} of {id_}, which does not exist: put it first.")
        return cls(products)


async def check_index(settings: Settings, expected: ExpectedState) -> int:
    """The number of expected products. Raises FatalError if a product differs or an event is in quarantine."""
    if differing := await differences(settings, expected):
        raise FatalError(
            f"The index does not match the events: {len(differing)} products differ, for example {differing[0]}."
        )
    if quarantined := await asyncio.to_thread(_quarantined, settings):
        raise FatalError(f"{quarantined} valid events are in quarantine: none should be.")
    return len(expected.products)


async def differences(settings: Settings, expected: ExpectedState) -> list[str]:
    """The ids of products that differ, are missing from the index, or should not be in it."""
    client = connect(
        settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=settings.qdrant_timeout_seconds
    )
    try:
        collection = await serving(client, settings.collection) or settings.collection
        points = PointsClient(client, collection=collection, timeout_s=settings.qdrant_timeout_seconds)
        indexed: dict[str, Any] = {}
        async for page in points.scroll(live_and(()), limit=PAGE, payload=including("id", "title", "price")):
            for payload in (payload_from(point.payload) for point in page):
                indexed[payload["id"]] = (payload["title"], payload.get("price"))
    finally:
        await client.close()
    both = indexed.keys() | expected.products.keys()
    return sorted(id_ for id_ in both if indexed.get(id_) != expected.products.get(id_))


def _quarantined(settings: Settings) -> int:
    return sum(1 for _ in read_quarantine(kafka_of(settings), settings.quarantine_topic))
