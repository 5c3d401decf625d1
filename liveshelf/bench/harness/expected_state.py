"""What a stream of events makes, worked out plainly, and what the index has of it."""

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
    """Title and price of each product on the shelf, by id. Events come in the order of their versions."""

    products: Mapping[str, tuple[str, float | None]]

    @classmethod
    def of(cls, events: Iterable[Event]) -> ExpectedState:
        """Raises InvalidInput for a patch of a product that had no put."""
        made: dict[str, tuple[str, float | None]] = {}
        for event in events:
            id_, price = str(event["id"]), (event.get("offer") or {}).get("price")
            match event.get("op", "put"):
                case "put":
                    made[id_] = ((event.get("title") or "").strip(), price)
                case "patch" if id_ in made:
                    made[id_] = (made[id_][0], price)
                case "delete":
                    made.pop(id_, None)
                case op:
                    raise InvalidInput(f"A {op} of {id_}, which is not there: put it first.")
        return cls(made)


async def checked(settings: Settings, fold: ExpectedState) -> int:
    """How many products there are. Raises FatalError where one is not as the fold has it, or something is refused."""
    if wrong := await differences(settings, fold):
        raise FatalError(f"The index is not what the events make: {len(wrong)} products differ, {wrong[0]} for one.")
    refused = await asyncio.to_thread(
        lambda: sum(1 for _ in read_quarantine(kafka_of(settings), settings.quarantine_topic))
    )
    if refused:
        raise FatalError(f"{refused} events are in quarantine that are all in order.")
    return len(fold.products)


async def differences(settings: Settings, fold: ExpectedState) -> list[str]:
    """The ids of the products that the index has otherwise than the fold, or lacks, or should not have."""
    client = connect(
        settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=settings.qdrant_timeout_seconds
    )
    try:
        collection = await serving(client, settings.collection) or settings.collection
        points = PointsClient(client, collection=collection, timeout_s=settings.qdrant_timeout_seconds)
        found: dict[str, Any] = {}
        async for page in points.scroll(live_and(()), limit=PAGE, payload=including("id", "title", "price")):
            for payload in (payload_from(point.payload) for point in page):
                found[payload["id"]] = (payload["title"], payload.get("price"))
    finally:
        await client.close()
    both = found.keys() | fold.products.keys()
    return sorted(id_ for id_ in both if found.get(id_) != fold.products.get(id_))


def _quarantined(settings: Settings) -> int:
    return sum(1 for _ in read_quarantine(kafka_of(settings), settings.quarantine_topic))
