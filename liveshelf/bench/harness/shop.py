"""A shop to measure: its own broker, engine and topics in a temporary folder, and workers on demand."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from uuid import uuid4

from catalog.errors import FatalError
from embedded.broker import Broker
from embedded.child_process import ChildProcess, Command
from embedded.engine.process import EngineProcess
from indexer import connect
from liveshelf.bench.harness.meter import Meter
from liveshelf.settings import Settings, environment, secret
from liveshelf.wiring.kafka import kafka_of, topics_of
from streams.kafka_client import admin_client
from streams.publish.publisher import Event, Publisher
from streams.publish.wait_applied import wait_until_applied
from streams.topics import create_topics

READY_S = 120.0
APPLIED_S = 7200.0

Ends = Mapping[int, int]


class Shop:
    """The running processes: `settings` has their addresses, `meter` their use of memory and CPU. See `open_shop`."""

    def __init__(self, settings: Settings, folder: Path, meter: Meter) -> None:
        self.settings = settings
        self.folder = folder
        self.meter = meter
        self._children = 0

    @contextmanager
    def workers(self, count: int = 1, **overrides: object) -> Iterator[list[ChildProcess]]:
        """Yields ready worker processes with these settings. Raises FatalError if one does not start."""
        with ExitStack() as stack:
            yield [stack.enter_context(self._worker(n, overrides)) for n in range(1, count + 1)]

    @contextmanager
    def child(self, name: str, *argv: str, ready: Path, settings: Settings | None = None) -> Iterator[ChildProcess]:
        """Yields a Python process (`argv` follows the interpreter) once the file `ready` exists; stops it on exit.

        Its settings default to the shop's. Its log is NAME.log in the shop's folder. Raises FatalError if it does not
        start.
        """
        child_settings = settings or self.settings
        command = Command(
            [sys.executable, *argv],
            env=environment(child_settings),
            log=self.folder / f"{name}.log",
            grace=child_settings.drain_timeout_seconds,
        )
        child = ChildProcess(command)
        try:
            self.meter.add(name, child.pid)
            if not child.wait_until(ready.exists, timeout=READY_S):
                raise FatalError(f"The {name} did not start: {child.tail()}")
            yield child
        finally:
            child.stop()

    def send(self, events: Iterable[Event], *, topic: str | None = None) -> tuple[int, Ends]:
        """Publishes events to `topic`, by default the live topic. Returns their number and the topic's end offsets."""
        sent = 0
        with Publisher(kafka_of(self.settings), topic or self.settings.live_topic) as publisher:
            for event in events:
                publisher.send_event(event)
                sent += 1
            return sent, publisher.flush()

    def wait(
        self, ends: Ends, *, topic: str | None = None, group: str | None = None, watch: Callable[[], None] | None = None
    ) -> None:
        """Returns when the consumer group, by default the shop's, has committed up to `ends`.

        Calls `watch` repeatedly while it waits; `watch` raises to stop the wait.
        """
        settings = self.settings.model_copy(update={"kafka_group_id": group or self.settings.kafka_group_id})
        wait_until_applied(
            kafka_of(settings),
            topic or settings.live_topic,
            ends,
            timeout_s=APPLIED_S,
            on_progress=lambda remaining: watch() if watch and remaining else None,
            every_s=0.1,
        )

    def apply(self, events: Iterable[Event], *, topic: str | None = None) -> tuple[int, float]:
        """Sends events to the running workers. Returns their number and the seconds until all are applied."""
        started = time.perf_counter()
        sent, ends = self.send(events, topic=topic)
        self.wait(ends, topic=topic)
        return sent, time.perf_counter() - started

    @contextmanager
    def _worker(self, number: int, overrides: dict[str, object]) -> Iterator[ChildProcess]:
        self._children += 1
        ready = self.folder / f"worker-{self._children}.ready"
        settings = self.settings.model_copy(update={"ready_file": ready, **overrides})
        with self.child(f"worker {number}", "-m", "liveshelf", "worker", ready=ready, settings=settings) as child:
            yield child


def image_roots(settings: Settings, catalogue: Path) -> tuple[Path, ...]:
    """The folders below which photos may be read: the settings' and the catalogue's (a file or a folder)."""
    resolved = catalogue.resolve()
    return (*settings.image_file_roots, resolved if resolved.is_dir() else resolved.parent)


@contextmanager
def open_shop(settings: Settings, *, url: str | None = None, photos: Path | None = None) -> Iterator[Shop]:
    """Yields a shop with broker, engine and topics in a temporary folder; removes all of it on exit and on errors.

    If LIVESHELF_KAFKA_BOOTSTRAP_SERVERS or LIVESHELF_QDRANT_URL is set, that broker or index replaces the embedded one.
    The Qdrant at the gRPC address `url` does too. Topics, groups and collections there get unique names and are deleted
    at the end. `settings` also sets the workers' model, device and threads. `photos` is a catalogue's file or a folder;
    workers may read `file:` photos below it.
    """
    name = f"bench-{uuid4().hex[:8]}"
    level = "DEBUG" if settings.log_level == "DEBUG" else "WARNING"
    overrides: dict[str, object] = {"log_level": level, "live_topic": name, "kafka_group_id": name, "collection": name}
    overrides |= {"backfill_topic": f"{name}-backfill", "quarantine_topic": f"{name}-quarantine"}
    # Generated events need no mapping. A photo cache would favour the contender that runs second.
    overrides |= {
        "mapping_file": None,
        "kafka_group_instance_id": None,
        "default_tenant": "default",
        "image_cache_mb": 0,
    }
    if photos is not None:
        overrides["image_file_roots"] = image_roots(settings, photos)
    if url is not None:
        overrides["qdrant_url"] = url.rstrip("/")
    with ExitStack() as stack:
        stack.enter_context(_exit_on_sigterm())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="liveshelf-bench-")))
        meter = stack.enter_context(Meter())
        if "kafka_bootstrap_servers" not in settings.model_fields_set:
            broker = stack.enter_context(Broker.start(folder / "broker", cache=settings.cache_dir))
            meter.add("broker", broker.pid)
            overrides["kafka_bootstrap_servers"] = broker.bootstrap
        if url is None and "qdrant_url" not in settings.model_fields_set:
            engine = stack.enter_context(EngineProcess.start(folder / "engine"))
            meter.add("engine", engine.pid)
            overrides["qdrant_url"] = engine.url
        shop_settings = settings.model_copy(update=overrides)
        if "kafka_bootstrap_servers" in settings.model_fields_set:
            stack.callback(_delete_topics_and_groups, shop_settings)
        if url is not None or "qdrant_url" in settings.model_fields_set:
            stack.callback(lambda: asyncio.run(_delete_collections(shop_settings)))
        create_topics(kafka_of(shop_settings), topics_of(shop_settings))
        yield Shop(shop_settings, folder, meter)


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """While entered, SIGTERM raises SystemExit, so that cleanup runs; an existing handler stays in place."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL or current_thread() is not main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _delete_topics_and_groups(settings: Settings) -> None:
    """Deletes the shop's topics and consumer groups, by the prefix of their names."""
    with admin_client(kafka_of(settings)) as client:
        topics = [name for name in client.list_topics() if name.startswith(settings.live_topic)]
        client.delete_topics(topics, raise_errors=False)
        groups = [group["group_id"] for group in client.list_groups()]
        if ours := [name for name in groups if name.startswith(settings.kafka_group_id)]:
            client.delete_groups(ours)


async def _delete_collections(settings: Settings) -> None:
    """Deletes the shop's collections and their alias."""
    client = connect(
        settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=settings.qdrant_timeout_seconds
    )
    try:
        for collection in (await client.get_collections()).collections:
            if collection.name.startswith(f"{settings.collection}--"):
                await client.delete_collection(collection.name)
    finally:
        await client.close()
