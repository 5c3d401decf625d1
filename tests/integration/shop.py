"""A shelf of real processes for one test, with its own topics and collection on the shared broker and engine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from embedded.engine.process import EngineProcess
from liveshelf.settings import Settings, environment, load_settings
from liveshelf.wiring.kafka import kafka_of, topics_of
from streams.publish.publisher import Publisher
from streams.publish.wait_applied import wait_until_applied
from streams.topics import create_topics

READY_S = 90.0


@dataclass
class Shop:
    """The settings of one test's shelf, and its worker processes."""

    settings: Settings
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Starts a `liveshelf worker` process and waits until it is ready."""
        number = len(self.workers)
        ready = self.folder / f"worker-{number}.ready"
        with (self.folder / f"worker-{number}.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "liveshelf", "worker"],
                env=environment(self.settings.model_copy(update={"ready_file": ready})),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.workers.append(worker)
        wait_for(lambda: ready.exists() or worker.poll() is not None, READY_S)
        assert worker.poll() is None, self.log(number)
        return worker

    def log(self, number: int) -> str:
        return (self.folder / f"worker-{number}.log").read_text()

    def publish(self, events: list[Mapping[str, Any] | bytes], topic: str | None = None) -> dict[int, int]:
        """Publishes events in order; bytes are sent unchanged, each under a new key."""
        from catalog.domain.product import ProductKey

        with Publisher(kafka_of(self.settings), topic or self.settings.live_topic) as publisher:
            for event in events:
                if isinstance(event, bytes):
                    publisher.send(ProductKey("raw", uuid4().hex), event)
                else:
                    publisher.send_event(event)
            return publisher.flush()

    def wait_until_applied(self, ends: Mapping[int, int], topic: str | None = None, timeout_s: float = 120) -> None:
        wait_until_applied(kafka_of(self.settings), topic or self.settings.live_topic, ends, timeout_s=timeout_s)

    def stop(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.terminate()
        for worker in self.workers:
            try:
                worker.wait(30)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


@contextmanager
def open_shop(broker: str, engine: EngineProcess, folder: Path, **more: Any) -> Iterator[Shop]:
    name = uuid4().hex[:12]
    settings = load_settings(
        **{
            "kafka_bootstrap_servers": broker,
            "qdrant_url": engine.url,
            "live_topic": f"{name}-live",
            "backfill_topic": f"{name}-backfill",
            "quarantine_topic": f"{name}-quarantine",
            "kafka_group_id": name,
            "collection": f"test-{name}",
            "topic_partitions": 4,
            "kafka_session_timeout_seconds": 6,  # what a killed worker held is waited for
            **more,
        }
    )
    create_topics(kafka_of(settings), topics_of(settings))
    shop = Shop(settings, folder)
    try:
        yield shop
    finally:
        shop.stop()


def wait_for(condition: Callable[[], bool], timeout_s: float) -> None:
    """Waits until the condition is true; fails the test after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"still false after {timeout_s:g} s"
        time.sleep(0.05)
