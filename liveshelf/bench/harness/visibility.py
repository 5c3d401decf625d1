"""When changes become visible to a search: events sent at their moments, and a reader that searches for them."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from qdrant_client import AsyncQdrantClient, grpc

from catalog.domain.space import Space
from indexer.qdrant.client import PointsClient, including
from indexer.qdrant.points import dense_vector
from liveshelf.bench.harness.load import GeneratedEvent
from streams.publish.publisher import Publisher

# The reader is to cost little beside what it measures: after an answer it rests for POLL_S, or REST times as long as
# the answer took, and it asks for the MOST products that wait longest.
POLL_S = 0.015
REST = 5
MOST = 64
PATIENCE_S = 60.0


@dataclass
class PendingChanges:
    """What was sent and is not yet seen, and how long it took for what was. Times are of `time.perf_counter`."""

    due: dict[int, tuple[str, float]] = field(default_factory=dict)
    took: dict[int, float] = field(default_factory=dict)
    late_s: float = 0.0
    poll_s: list[float] = field(default_factory=list)

    def first(self, products: int) -> list[int]:
        """What is in flight of so many products, those that wait longest.

        With the later versions of each: one that comes before a search saw the older is all that is ever there.
        """
        due = self.due.copy()
        waiting = set(list(dict.fromkeys(id_ for id_, _ in due.values()))[:products])
        return [version for version, (id_, _) in due.items() if id_ in waiting]

    def seen(self, id_: str, version: int, now: float) -> None:
        """This version is there, so what was sent of the product before it is too."""
        for older in [v for v, (of, _) in self.due.copy().items() if of == id_ and v <= version]:
            self.took[older] = now - self.due.pop(older)[1]


def moments(rate: float, seconds: float, rng: random.Random) -> list[float]:
    """Seconds from the start, of arrivals that know nothing of each other: `rate` a second on average."""
    found, at = [], rng.expovariate(rate)
    while at < seconds:
        found.append(at)
        at += rng.expovariate(rate)
    return found


class Sender(threading.Thread):
    """Sends each change at its moment, whether or not those before it were seen."""

    def __init__(
        self, publisher: Publisher, changes: Sequence[GeneratedEvent], at: Sequence[float], flights: PendingChanges
    ) -> None:
        super().__init__(name="sender", daemon=True)
        self._publisher = publisher
        self._plan = list(zip(changes, at, strict=True))
        self._flights = flights
        self.stop = threading.Event()

    def run(self) -> None:
        started = time.perf_counter()
        for made, at in self._plan:
            due = started + at
            if self.stop.wait(max(0.0, due - time.perf_counter())):
                return
            self._flights.late_s = max(self._flights.late_s, time.perf_counter() - due)
            self._flights.due[made.version] = (made.key.id, due)
            self._publisher.send(made.key, made.value)


@dataclass(frozen=True, slots=True)
class Reader:
    """Where versions are looked for: the collection, and the payload's field that holds them."""

    collection: str
    space: Space
    version: str = "offer_version"

    def where(self, versions: Sequence[int]) -> grpc.Filter:
        """Matches the products with one of these versions."""
        these = grpc.Match(integers=grpc.RepeatedIntegers(integers=versions))
        match = grpc.FieldCondition(key=self.version, match=these)
        return grpc.Filter(must=[grpc.Condition(field=match)])


async def watch(client: AsyncQdrantClient, reader: Reader, flights: PendingChanges, sender: Sender) -> None:
    """Searches for what is in flight, again and again, until all is seen or PATIENCE_S have passed.

    Each is a search for the nearest products with a filter on the versions in flight. What it finds is noted at the
    moment of the answer: up to a pause and an answer after it could be seen.
    """
    points = PointsClient(client, collection=reader.collection, timeout_s=10)
    using, dim = next(iter(reader.space.vectors.items()))
    vector = dense_vector(np.full(dim, dim**-0.5, dtype=np.float32))
    nearest = grpc.Query(nearest=grpc.VectorInput(dense=vector))
    wanted = including("id", reader.version)
    given_up = None
    while sender.is_alive() or flights.due:
        if not sender.is_alive():
            given_up = given_up or time.perf_counter() + PATIENCE_S
            if time.perf_counter() > given_up:
                return
        versions = flights.first(MOST)
        answer_s = 0.0
        if versions:
            asked = time.perf_counter()
            where = reader.where(versions)
            query = grpc.QueryPoints(query=nearest, using=using, filter=where, limit=MOST, with_payload=wanted)
            found = await points.query(query)
            now = time.perf_counter()
            answer_s = now - asked
            flights.poll_s.append(answer_s)
            for point in found:
                flights.seen(point.payload["id"].string_value, point.payload[reader.version].integer_value, now)
        await asyncio.sleep(max(POLL_S, REST * answer_s))
