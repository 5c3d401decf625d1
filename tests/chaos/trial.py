"""Plays one schedule on a running shop: sends events, injects faults, heals, and checks the result."""

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
from tests.chaos.processes import Processes
from tests.chaos.quarantine import QuarantineRecords
from tests.chaos.schedule import Schedule
from tests.chaos.verdict import ExpectedVectors, IndexedPoint, Place, exit_faults, index_faults, quarantine_faults
from tests.simulation.schedule import BACKFILL, LIVE, Event

APPLIED_S = 120.0
HEALED_S = 120.0
LIMIT_S = 480.0


@dataclass
class Verdict:
    """The errors of a schedule, none if all promises were kept, and its duration."""

    wrong: list[str] = field(default_factory=list)
    events: int = 0
    seconds: float = 0.0
    exits: list[str] = field(default_factory=list)


class Shop:
    """A running shop and all events that it sent."""

    def __init__(self, processes: Processes, vectors: ExpectedVectors) -> None:
        self.processes = processes
        self._looks = vectors
        self._quarantine = QuarantineRecords(processes.settings)
        self._faults = Faults(processes, self._quarantine)
        self._ends: dict[str, dict[int, int]] = {LIVE: {}, BACKFILL: {}}
        self._sent: dict[Event, Place] = {}
        self._schedules: list[Schedule] = []

    @property
    def topics(self) -> dict[str, str]:
        return {LIVE: self.processes.settings.live_topic, BACKFILL: self.processes.settings.backfill_topic}

    async def run(self, schedule: Schedule) -> Verdict:
        """Plays a schedule to its end. Errors are in the verdict; nothing is raised.

        Index, quarantine and logs are checked completely, against all events since the start of the shop.
        """
        started = time.monotonic()
        verdict = Verdict(events=len(schedule.events))
        before = len(self.processes.exits)
        watch = asyncio.create_task(self._keep_restarting())
        self._schedules.append(schedule)
        try:
            async with asyncio.timeout(LIMIT_S):
                await self._play(schedule)
                verdict.wrong += await self._judge()
        except ExceptionGroup as errors:
            verdict.wrong += [f"stuck: {error!r}" for error in errors.exceptions]
        except Exception as error:  # whatever it is, the next schedules must be played
            verdict.wrong.append(f"stuck: {error!r}")
        finally:
            watch.cancel()
            await asyncio.wait({watch})
        verdict.seconds = time.monotonic() - started
        verdict.exits = self.processes.exits[before:]
        outage = any(f.kind.startswith(("broker", "engine")) for s in self._schedules[-2:] for f in s.faults)
        verdict.wrong += exit_faults(verdict.exits, outage=outage)
        return verdict

    async def _play(self, schedule: Schedule) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(self._send, schedule.events))
            for fault in schedule.faults:
                group.create_task(self._faults.inject(fault))
        await self._heal()
        await self._applied()

    async def _keep_restarting(self) -> None:
        while True:
            self.processes.restart_ended()
            await asyncio.sleep(0.3)

    def _send(self, events: Iterable[Event]) -> None:
        producer = KafkaProducer(
            **kafka_of(self.processes.settings).client_options(),
            acks="all",
            linger_ms=5,
            enable_idempotence=True,
            # The shop waits long and reconnects soon after an outage; by default the client waits up to 30 s.
            max_block_ms=150_000,
            delivery_timeout_ms=150_000,
            request_timeout_ms=5_000,
            reconnect_backoff_max_ms=500,
            allow_auto_create_topics=False,
        )
        with closing(producer):
            started = time.monotonic()
            sent = []
            for event in events:
                time.sleep(max(0.0, event.at - (time.monotonic() - started)))
                key, value, topic = event.key, event.value, self.topics[event.topic]
                sent.append((event, producer.send(topic, key=key, value=value, timestamp_ms=event.timestamp)))
            for event, future in sent:
                place = future.get(timeout=150)
                self._sent[event] = place.partition, place.offset
                ends = self._ends[event.topic]
                ends[place.partition] = max(ends.get(place.partition, 0), place.offset + 1)

    async def _heal(self) -> None:
        """Makes every process run again, with the number of workers of the setting, all ready."""
        processes = self.processes
        processes.call_faults.calm()
        for worker in processes.workers:
            worker.signal(signal.SIGCONT)
        while len(processes.workers) < processes.setting.workers:
            processes.join()
        await processes.until(lambda: all(w.ready for w in processes.workers), HEALED_S, "all workers are ready again")
        while len(processes.workers) > processes.setting.workers:
            await processes.leave(processes.workers[0])

    async def _applied(self) -> None:
        """Waits until every event is committed. Raises Unavailable if that takes too long."""
        kafka = kafka_of(self.processes.settings)
        for name, topic in self.topics.items():
            await asyncio.to_thread(wait_until_applied, kafka, topic, self._ends[name], timeout_s=APPLIED_S)

    async def _judge(self) -> list[str]:
        client = connect(self.processes.engine.url, api_key=None, timeout_s=20)
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
        wrong += [f"{p.key} was never sent" for p in points if not any(_about(p.key, s) for s in self._schedules)]
        quarantined = await asyncio.to_thread(self._quarantine.all)
        wrong += quarantine_faults(quarantined, self._sent, self.topics) + self.processes.tracebacks
        if self.processes.host.inward:
            wrong.append(f"{self.processes.host.inward} photos were fetched from 127.0.0.1")
        return wrong


def _about(key: ProductKey, schedule: Schedule) -> bool:
    return key.id.startswith(f"c{schedule.number}-")


async def _points(client: AsyncQdrantClient) -> list[IndexedPoint]:
    request = grpc.ScrollPoints(
        collection_name="chaos",
        limit=100_000,
        with_payload=grpc.WithPayloadSelector(enable=True),
        with_vectors=grpc.WithVectorsSelector(enable=True),
    )
    answer = await client.grpc_points.Scroll(request, timeout=20)
    return [
        IndexedPoint(
            payload_from(point.payload),
            {n: np.array(v.dense.data, np.float32) for n, v in _dense(point).items()},
        )
        for point in answer.result
    ]


def _dense(point: Any) -> dict[str, Any]:
    """The vectors without the words of a live point, which the index makes from its title. A deleted point has none."""
    live = point.payload["live"].bool_value
    return {n: v for n, v in point.vectors.vectors.vectors.items() if n != LEXICAL or not live}


async def _searched(client: AsyncQdrantClient, vector: Any) -> set[ProductKey]:
    """Every product that a search finds, by the code of the search service."""
    points = PointsClient(client, collection="chaos", timeout_s=20)
    query = grpc.QueryPoints(
        query=grpc.Query(nearest=grpc.VectorInput(dense=dense_vector(vector))),
        using=FUSED,
        filter=live_and(()),
        limit=100_000,
        with_payload=including("tenant", "id"),
    )
    hits = await points.query(query)
    return {key_from(point.payload) for point in hits}
