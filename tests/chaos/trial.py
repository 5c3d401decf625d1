"""One schedule on a running shop: said, hurt, healed, judged."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from kafka import KafkaProducer
from qdrant_client import AsyncQdrantClient, grpc

from catalog.domain.product import ProductKey
from catalog.domain.space import FUSED
from indexer import connect
from indexer.qdrant.bm25 import LEXICAL
from indexer.qdrant.client import PointsClient, including
from indexer.qdrant.filters import live_and
from indexer.qdrant.payload import payload_from
from indexer.qdrant.points import dense_vector, key_from
from liveshelf.wiring.kafka import kafka_of
from streams.publish.wait_applied import wait_until_applied
from tests.chaos.faults import Faults
from tests.chaos.parts import Parts
from tests.chaos.quarantine import QuarantineWatch
from tests.chaos.schedule import Schedule
from tests.chaos.verdict import Found, Looks, Place, exit_faults, index_faults, quarantine_faults
from tests.simulation.schedule import BACKFILL, LIVE, Event

APPLIED_S = 120.0
HEALED_S = 120.0
LIMIT_S = 480.0


@dataclass
class Verdict:
    """What was wrong, nothing where all promises were kept; and what it took."""

    wrong: list[str] = field(default_factory=list)
    events: int = 0
    seconds: float = 0.0
    exits: list[str] = field(default_factory=list)


class Shop:
    """A running shop and what is known of all that it was told."""

    def __init__(self, parts: Parts, looks: Looks) -> None:
        self.parts = parts
        self._looks = looks
        self._quarantine = QuarantineWatch(parts.settings)
        self._faults = Faults(parts, self._quarantine)
        self._ends: dict[str, dict[int, int]] = {LIVE: {}, BACKFILL: {}}
        self._said: dict[Event, Place] = {}
        self._schedules: list[Schedule] = []

    @property
    def topics(self) -> dict[str, str]:
        return {LIVE: self.parts.settings.live_topic, BACKFILL: self.parts.settings.backfill_topic}

    async def run(self, schedule: Schedule) -> Verdict:
        """Plays a schedule to its end. What goes wrong is in the verdict; nothing is raised.

        The index, the quarantine and the logs are judged whole, with all that was said since the shop was built.
        """
        began = time.monotonic()
        verdict = Verdict(events=len(schedule.events))
        before = len(self.parts.exits)
        watch = asyncio.create_task(self._look_after())
        self._schedules.append(schedule)
        try:
            async with asyncio.timeout(LIMIT_S):
                await self._play(schedule)
                verdict.wrong += await self._judge()
        except ExceptionGroup as errors:
            verdict.wrong += [f"stuck: {error!r}" for error in errors.exceptions]
        except Exception as error:  # whatever it is, the schedules after this one are to be played
            verdict.wrong.append(f"stuck: {error!r}")
        finally:
            watch.cancel()
            await asyncio.wait({watch})
        verdict.seconds = time.monotonic() - began
        verdict.exits = self.parts.exits[before:]
        outage = any(f.kind.startswith(("broker", "engine")) for s in self._schedules[-2:] for f in s.faults)
        verdict.wrong += exit_faults(verdict.exits, outage=outage)
        return verdict

    async def _play(self, schedule: Schedule) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(self._say, schedule.events))
            for fault in schedule.faults:
                group.create_task(self._faults.befall(fault))
        await self._heal()
        await self._applied()

    async def _look_after(self) -> None:
        while True:
            self.parts.look_after()
            await asyncio.sleep(0.3)

    def _say(self, events: Iterable[Event]) -> None:
        producer = KafkaProducer(
            **kafka_of(self.parts.settings).client_options(),
            acks="all",
            linger_ms=5,
            enable_idempotence=True,
            # The shop is patient, and back soon after the broker is: left alone the client waits up to 30 s.
            max_block_ms=150_000,
            delivery_timeout_ms=150_000,
            request_timeout_ms=5_000,
            reconnect_backoff_max_ms=500,
            allow_auto_create_topics=False,
        )
        with closing(producer):
            began = time.monotonic()
            sent = []
            for event in events:
                time.sleep(max(0.0, event.at - (time.monotonic() - began)))
                key, value, topic = event.key, event.value, self.topics[event.topic]
                sent.append((event, producer.send(topic, key=key, value=value, timestamp_ms=event.timestamp)))
            for event, future in sent:
                place = future.get(timeout=150)
                self._said[event] = place.partition, place.offset
                ends = self._ends[event.topic]
                ends[place.partition] = max(ends.get(place.partition, 0), place.offset + 1)

    async def _heal(self) -> None:
        """Every part runs again, as many workers as the setting has, and all of them are ready."""
        parts = self.parts
        parts.weather.calm()
        for worker in parts.workers:
            worker.signal(signal.SIGCONT)
        while len(parts.workers) < parts.setting.workers:
            parts.join()
        await parts.until(lambda: all(w.ready for w in parts.workers), HEALED_S, "all workers are ready again")
        while len(parts.workers) > parts.setting.workers:
            await parts.leave(parts.workers[0])

    async def _applied(self) -> None:
        """Everything that was said is committed. Raises Unavailable where it is not in time."""
        kafka = kafka_of(self.parts.settings)
        for name, topic in self.topics.items():
            await asyncio.to_thread(wait_until_applied, kafka, topic, self._ends[name], timeout_s=APPLIED_S)

    async def _judge(self) -> list[str]:
        client = connect(self.parts.engine.url, api_key=None, timeout_s=20)
        try:
            points = await _points(client)
            searched = await _searched(client, next(iter(self._looks.values()))["fused"])
        finally:
            await client.close()
        wrong = []
        for schedule in self._schedules:
            mine = [p for p in points if _about(p.key, schedule)]
            seen = {key for key in searched if _about(key, schedule)}
            wrong += index_faults(mine, schedule.events, self._looks, lenient=schedule.lenient, searched=seen)
        wrong += [f"{p.key} was never said" for p in points if not any(_about(p.key, s) for s in self._schedules)]
        held = await asyncio.to_thread(self._quarantine.held)
        wrong += quarantine_faults(held, self._said, self.topics) + self.parts.tracebacks
        if self.parts.host.inward:
            wrong.append(f"{self.parts.host.inward} photos were fetched from 127.0.0.1")
        return wrong


def _about(key: ProductKey, schedule: Schedule) -> bool:
    return key.id.startswith(f"c{schedule.number}-")


async def _points(client: AsyncQdrantClient) -> list[Found]:
    request = grpc.ScrollPoints(
        collection_name="chaos",
        limit=100_000,
        with_payload=grpc.WithPayloadSelector(enable=True),
        with_vectors=grpc.WithVectorsSelector(enable=True),
    )
    answer = await client.grpc_points.Scroll(request, timeout=20)
    return [
        Found(
            payload_from(point.payload),
            {n: np.array(v.dense.data, np.float32) for n, v in _dense(point).items()},
        )
        for point in answer.result
    ]


def _dense(point: Any) -> dict[str, Any]:
    """The vectors but for the words of a live point, which the index makes of its title; a deleted one has neither."""
    live = point.payload["live"].bool_value
    return {n: v for n, v in point.vectors.vectors.vectors.items() if n != LEXICAL or not live}


async def _searched(client: AsyncQdrantClient, vector: Any) -> set[ProductKey]:
    """Every product that a search sees, through the search service's own way."""
    points = PointsClient(client, collection="chaos", timeout_s=20)
    query = grpc.QueryPoints(
        query=grpc.Query(nearest=grpc.VectorInput(dense=dense_vector(vector))),
        using=FUSED,
        filter=live_and(()),
        limit=100_000,
        with_payload=including("tenant", "id"),
    )
    found = await points.query(query)
    return {key_from(point.payload) for point in found}
