"""Measures when changes become visible to a search: sends events at given times, and searches for them."""

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

# The reader must cost little: after a response it pauses POLL_S, or REST times the response's latency if longer.
# It searches for the MOST products that wait longest.
POLL_S = 0.015
REST = 5
MOST = 64
PATIENCE_S = 60.0


@dataclass
class PendingChanges:
    """Changes that are sent but not seen, by version, and latencies of seen ones. Times are of `time.perf_counter`."""

    due: dict[int, tuple[str, float]] = field(default_factory=dict)
    took: dict[int, float] = field(default_factory=dict)
    late_s: float = 0.0
    poll_s: list[float] = field(default_factory=list)

    def oldest(self, products: int) -> list[int]:
        """All pending versions of the `products` products that wait longest.

        Later versions are included: one that is applied before a search sees the older version hides it.
        """
        due = self.due.copy()
        waiting = set(list(dict.fromkeys(id_ for id_, _ in due.values()))[:products])
        return [version for version, (id_, _) in due.items() if id_ in waiting]

    def seen(self, id_: str, version: int, now: float) -> None:
        """Marks this version and all earlier pending versions of the product as visible at `now`."""
        for older in [v for v, (of, _) in self.due.copy().items() if of == id_ and v <= version]:
            self.took[older] = now - self.due.pop(older)[1]


def moments(rate: float, seconds: float, rng: random.Random) -> list[float]:
    """Arrival times in seconds of a Poisson process: `rate` a second on average, for `seconds`."""
    times, at = [], rng.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += rng.expovariate(rate)
    return times


class Sender(threading.Thread):
    """Sends each change at its time, without waiting for earlier changes (an open loop)."""

    def __init__(
        self, publisher: Publisher, changes: Sequence[GeneratedEvent], at: Sequence[float], pending: PendingChanges
    ) -> None:
        super().__init__(name="sender", daemon=True)
        self._publisher = publisher
        self._plan = list(zip(changes, at, strict=True))
        self._pending = pending
        self.stop = threading.Event()

    def run(self) -> None:
        started = time.perf_counter()
        for change, at in self._plan:
            due = started + at
            if self.stop.wait(max(0.0, due - time.perf_counter())):
                return
            self._pending.late_s = max(self._pending.late_s, time.perf_counter() - due)
            self._pending.due[change.version] = (change.key.id, due)
            self._publisher.send(change.key, change.value)


@dataclass(frozen=True, slots=True)
class Reader:
    """The collection to search, and the payload field with the version."""

    collection: str
    space: Space
    version: str = "offer_version"

    def filter(self, versions: Sequence[int]) -> grpc.Filter:
        """A filter for products with one of these versions."""
        match = grpc.Match(integers=grpc.RepeatedIntegers(integers=versions))
        condition = grpc.FieldCondition(key=self.version, match=match)
        return grpc.Filter(must=[grpc.Condition(field=condition)])


async def watch(client: AsyncQdrantClient, reader: Reader, pending: PendingChanges, sender: Sender) -> None:
    """Searches for pending changes until all are seen, or until PATIENCE_S after the last event.

    Each search is for the nearest products, with a filter on the pending versions. A change counts as visible at the
    time of the response, which is late by at most one pause and one response.
    """
    points = PointsClient(client, collection=reader.collection, timeout_s=10)
    using, dim = next(iter(reader.space.vectors.items()))
    vector = dense_vector(np.full(dim, dim**-0.5, dtype=np.float32))
    nearest = grpc.Query(nearest=grpc.VectorInput(dense=vector))
    payload = including("id", reader.version)
    deadline = None
    while sender.is_alive() or pending.due:
        if not sender.is_alive():
            deadline = deadline or time.perf_counter() + PATIENCE_S
            if time.perf_counter() > deadline:
                return
        versions = pending.oldest(MOST)
        answer_s = 0.0
        if versions:
            started = time.perf_counter()
            conditions = reader.filter(versions)
            query = grpc.QueryPoints(query=nearest, using=using, filter=conditions, limit=MOST, with_payload=payload)
            hits = await points.query(query)
            seen_at = time.perf_counter()
            answer_s = seen_at - started
            pending.poll_s.append(answer_s)
            for point in hits:
                pending.seen(point.payload["id"].string_value, point.payload[reader.version].integer_value, seen_at)
        await asyncio.sleep(max(POLL_S, REST * answer_s))
