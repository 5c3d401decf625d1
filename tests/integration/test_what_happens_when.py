"""Failures: one test for each row of the table in docs/architecture.md.

For rows about one record or photo, tests put records into a lane by hand. For rows about the stream the broker is real,
and for rows about the index the engine is.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from catalog.domain.index_query import IndexQuery
from catalog.domain.product import ProductKey
from catalog.domain.record import Stage
from catalog.domain.space import IMAGE
from catalog.errors import FatalError, Unavailable
from catalog.ingest.batch import IngestBatch as IngestBatch
from catalog.ingest.image_retry import ImageRetryPolicy
from catalog.ingest.ingest import Ingest
from catalog.ingest.reject_limit import RejectLimit
from catalog.ports import ProductWriter
from embedded.broker import Broker
from embedded.engine.process import EngineProcess
from encoders import EncodePolicy, EncoderService
from encoders.caching.placeholders import PlaceholderPolicy
from encoders.model import Inputs, Rows
from indexer import CollectionPolicy, QdrantReader, QdrantWriter, RequestPolicy, ensure
from streams.config import KafkaConfig, OutageRetryPolicy, StallPolicy, TopicConfig
from streams.pipeline.pipeline import Pipeline
from streams.quarantine.topic import KafkaQuarantine, read_quarantine
from streams.worker.worker import Worker, run_worker
from tests.encoders.conftest import Photos
from tests.encoders.test_service import Colours
from tests.fakes import FakeIndex
from tests.fixtures_broker import CACHE
from tests.fixtures_engine import Subject, client_of, collection_at
from tests.integration.hand_fed import PHOTOS, PhotoHost, hand_fed, photo_host
from tests.integration.streaming import POLICY, Place, child, eventually, new_place, working
from tests.streams.stages import RecordingStages

RETRY = ImageRetryPolicy(delays_s=(0.05,) * 100, poll_interval_s=0.02)
GOOD = {"id": "good", "title": "mug"}


@pytest.fixture
def place(broker: str) -> Place:
    return new_place(broker)


@pytest.fixture
def host() -> Iterator[PhotoHost]:
    with photo_host() as opened:
        yield opened


@asynccontextmanager
async def ingest_of(place: Place, index: ProductWriter, model: Colours | None = None) -> AsyncIterator[Ingest]:
    """Ingest over an index, with quarantine on the broker."""
    async with (
        EncoderService(model or Colours(), Photos({})) as encoder,
        KafkaQuarantine(place.kafka, place.topics) as quarantine,
    ):
        yield Ingest(index=index, encoder=encoder, quarantine=quarantine)


def worker_of(place: Place, ingest: Ingest) -> Worker:
    lane: Pipeline[IngestBatch] = Pipeline(ingest, lane="live", batch=POLICY.batch, retry=POLICY.retry)
    return Worker(place.kafka, {place.topics.live: lane}, policy=POLICY)


@asynccontextmanager
async def reading(worker: Worker) -> AsyncIterator[asyncio.Task[int]]:
    """A ready worker as the process's main task; stopped at the end if it still runs."""
    task = asyncio.create_task(run_worker(worker))
    try:
        await eventually(lambda: worker.ready or task.done(), timeout_s=30)
        yield task
    finally:
        worker.stop()
        await asyncio.wait_for(task, 30)


def messages(*events: Mapping[str, object] | bytes) -> list[tuple[bytes | None, bytes | None]]:
    return [(b"k%d" % (i % 5), e if isinstance(e, bytes) else json.dumps(e).encode()) for i, e in enumerate(events)]


def products(first: int, last: int) -> list[tuple[bytes | None, bytes | None]]:
    return messages(*[{"id": f"p{i}", "version": 1, "title": f"thing {i}"} for i in range(first, last)])


def committed(place: Place) -> int:
    return sum(place.committed().values())


async def test_bytes_do_not_parse(place: Place, engine: EngineProcess) -> None:
    """Quarantine (parse), unchanged; acknowledged; its neighbours are applied."""
    place.produce(messages(GOOD, b"\xff{", b"{not json"))
    async with collection_at(engine.url, Colours.space) as subject, ingest_of(place, subject.index) as ingest:
        async with reading(worker_of(place, ingest)):
            await eventually(lambda: committed(place) == 3)
        assert await subject.shelf.count() == 1
    rejects = [entry.reject for entry in read_quarantine(place.kafka, place.topics.quarantine)]
    assert {(reject.stage, reject.record.value) for reject in rejects} == {
        (Stage.PARSE, b"\xff{"),
        (Stage.PARSE, b"{not json"),
    }


async def test_schema_invalid() -> None:
    async with hand_fed() as shelf:
        await shelf.apply(GOOD, {"id": "bad", "title": 5}, {"id": "other", "title": "lamp"})
        assert shelf.acked == [0, 1, 2]
        assert await shelf.shelf.count() == 2
    (reject,) = shelf.quarantine.rejects
    assert (reject.stage, reject.record.offset) == (Stage.SCHEMA, 1)
    assert "title" in reject.reason


@pytest.mark.parametrize(
    ("path", "state"),
    [
        pytest.param("/status/404", "missing", id="image 404"),
        pytest.param("/status/410", "missing", id="image 410"),
        pytest.param("/bytes/100001", "too_large", id="too large"),
        pytest.param("/bomb", "too_large", id="a bomb"),
        pytest.param("/text", "broken", id="not an image"),
    ],
)
async def test_an_image_that_cannot_be_had(host: PhotoHost, path: str, state: str) -> None:
    """A title-only vector now, the point says why, acknowledged; the neighbour keeps its photo."""
    async with hand_fed() as shelf:
        await shelf.apply(
            {"id": "a", "title": "mug", "images": [host.url + path]},
            {"id": "b", "title": "cup", "images": [f"{host.url}/photo/blue"]},
        )
        assert not shelf.quarantine.rejects
        flagged, neighbour = await shelf.payload("a"), await shelf.payload("b")
    assert flagged is not None
    assert neighbour is not None
    assert (flagged["image_state"], neighbour["image_state"]) == (state, "ok")
    assert flagged["image_reason"]


async def test_blocked_address(host: PhotoHost) -> None:
    closed = EncodePolicy(photos=replace(PHOTOS, allow_hosts=()))
    async with hand_fed(encode=closed) as shelf:
        await shelf.apply({"id": "a", "title": "mug", "images": [f"{host.url}/photo/red"]})
        payload = await shelf.payload("a")
    assert payload is not None
    assert payload["image_state"] == "blocked"


@pytest.mark.parametrize("path", ["/status/503", "/slow"])
async def test_image_5xx_or_timeout(host: PhotoHost, path: str) -> None:
    """A title-only vector now; after the host is back, the next put encodes the photo."""
    put = {"id": "a", "title": "mug", "images": [host.url + path]}
    async with hand_fed() as shelf:
        await shelf.apply({**put, "version": 1})
        before = await shelf.payload("a")
        host.heal()
        await shelf.apply({**put, "version": 2})
        after = await shelf.payload("a")
    assert before is not None
    assert after is not None
    assert (before["image_state"], after["image_state"]) == ("unavailable", "ok")


@pytest.mark.parametrize(
    ("path", "state"),
    [
        pytest.param("/status/404", "missing", id="image 404"),
        pytest.param("/status/410", "missing", id="image 410"),
        pytest.param("/status/503", "unavailable", id="image 5xx"),
        pytest.param("/slow", "unavailable", id="timeout"),
    ],
)
async def test_an_image_that_comes_late(host: PhotoHost, path: str, state: str) -> None:
    """Without a new event the photo is retried, and after that the product is found by it."""
    async with hand_fed(repair=RETRY) as shelf:
        await shelf.apply({"id": "a", "title": "mug", "images": [host.url + path], "offer": {"price": 5}})
        await shelf.becomes("a", state)
        assert "image" not in shelf.shelf.points[ProductKey("default", "a")][1]
        host.heal()
        healed = await shelf.becomes("a", "ok")
        assert (healed["title"], healed["price"], shelf.sent) == ("mug", 5.0, 1)
        vector = shelf.shelf.points[ProductKey("default", "a")][1][IMAGE]
        (hit,) = await shelf.shelf.search(IndexQuery(vector=vector, using=IMAGE, limit=1))
        assert hit.key.id == "a"


async def test_an_image_retrier_that_fails(place: Place) -> None:
    """A background task that fails ends the worker with 1, as a lane does."""

    reads = asyncio.Event()

    async def failing() -> None:
        await reads.wait()
        raise FatalError("the index refuses to list points")

    lane = Pipeline(RecordingStages(), lane="live", batch=POLICY.batch, retry=OutageRetryPolicy())
    worker = Worker(place.kafka, {place.topics.live: lane}, policy=POLICY, on_ready=reads.set, background=[failing])
    assert await asyncio.wait_for(run_worker(worker), 30) == 1


async def test_a_placeholder_on_many_products(host: PhotoHost) -> None:
    policy = EncodePolicy(photos=PHOTOS, placeholders=PlaceholderPolicy(titles=3))
    async with hand_fed(encode=policy) as shelf:
        for i in range(4):
            await shelf.apply({"id": str(i), "title": f"thing {i}", "images": [f"{host.url}/photo/grey?{i}"]})
        payloads = [await shelf.payload(str(i)) for i in range(4)]
    assert [p["image_state"] for p in payloads if p] == ["ok", "ok", "placeholder", "placeholder"]


async def test_encoder_gives_nan_or_inf() -> None:
    async with hand_fed() as shelf:
        await shelf.apply(GOOD, {"id": "bad", "title": "poison"}, {"id": "other", "title": "lamp"})
        assert shelf.acked == [0, 1, 2]
        assert await shelf.shelf.count() == 2
    assert [(reject.stage, reject.record.offset) for reject in shelf.quarantine.rejects] == [(Stage.ENCODE, 1)]


async def test_out_of_device_memory() -> None:
    """The batch is halved until it fits, without any other effect."""
    sizes: list[int] = []

    class Tight(Colours):
        def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
            sizes.append(len(batch))
            if len(batch) > 2:
                raise torch.OutOfMemoryError("no room")
            return super().forward_items(batch)

    async with hand_fed(model=Tight()) as shelf:
        await shelf.apply(*[{"id": str(i), "title": "x" * (i + 1)} for i in range(8)])
        assert await shelf.shelf.count() == 8
    assert not shelf.quarantine.rejects
    assert max(sizes) > 2


async def test_device_lost(place: Place) -> None:
    """The worker ends with 1, and nothing is acknowledged."""

    class Lost(Colours):
        lost = False

        def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
            if self.lost:
                raise torch.AcceleratorError("the device is gone")
            return super().forward_items(batch)

    model = Lost()
    place.produce(products(0, 10))
    index = FakeIndex(Colours.space)
    async with ingest_of(place, index, model) as ingest:
        model.lost = True
        assert await asyncio.wait_for(run_worker(worker_of(place, ingest)), 30) == 1
    assert not index.points
    assert committed(place) == 0


async def test_index_says_the_point_is_invalid(engine: EngineProcess) -> None:
    async with collection_at(engine.url, Colours.space) as subject, client_of(engine.url) as client:
        small = RequestPolicy(max_bytes=4000)
        index = QdrantWriter(client, collection=subject.collection, space=Colours.space, policy=small)
        async with hand_fed(index=index) as shelf:
            await shelf.apply(GOOD, {"id": "bad", "title": "long " * 1000}, {"id": "other", "title": "lamp"})
        assert shelf.acked == [0, 1, 2]
        assert await subject.shelf.count() == 2
    assert [(reject.stage, reject.record.offset) for reject in shelf.quarantine.rejects] == [(Stage.INDEX, 1)]


async def test_index_unreachable(place: Place, tmp_path: Path) -> None:
    """The lane pauses, nothing is acknowledged, readiness is false; then it continues by itself."""
    engine = await asyncio.to_thread(EngineProcess.start, tmp_path)
    try:
        async with client_of(engine.url) as client:
            name = await ensure(client, Colours.space, CollectionPolicy())
            index = QdrantWriter(client, collection=name, space=Colours.space)
            shelf = QdrantReader(client, collection="products", space=Colours.space)
            async with ingest_of(place, index) as ingest:
                worker = worker_of(place, ingest)
                async with reading(worker):
                    await asyncio.to_thread(engine.kill)
                    place.produce(products(0, 30))
                    await eventually(lambda: not worker.ready)
                    await asyncio.sleep(2 * POLICY.commit_every_s)
                    assert committed(place) == 0
                    engine = await asyncio.to_thread(EngineProcess.start, tmp_path, port=engine.port)
                    await eventually(lambda: committed(place) == 30)
                    assert worker.ready
                assert await shelf.count() == 30
    finally:
        await asyncio.to_thread(engine.kill)


async def test_quarantine_topic_unreachable() -> None:
    """The lane pauses; neither the bad record nor the good ones after it are acknowledged."""
    async with (
        KafkaQuarantine(KafkaConfig("127.0.0.1:1"), TopicConfig(), timeout_s=0.5) as away,
        hand_fed(quarantine=away) as shelf,
    ):
        await shelf.apply(GOOD)
        await shelf.put(b"{", {"id": "other", "title": "lamp"})
        async with asyncio.timeout(10):
            while shelf.lane.outage is None:
                assert shelf.acked == [0]
                await asyncio.sleep(0.01)
        assert isinstance(shelf.lane.outage, Unavailable)
        assert "quarantine" in str(shelf.lane.outage)
        assert shelf.acked == [0]


async def test_too_many_rejects(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """The worker ends with 1 before the topic is drained. Only records within the limit are committed."""
    place.produce(messages(*[b'{"id": "x", "title": %d}' % i for i in range(300)]))
    async with ingest_of(place, FakeIndex(Colours.space)) as ingest:
        assert await asyncio.wait_for(run_worker(worker_of(place, ingest)), 30) == 1
    assert "records were rejected" in caplog.text
    entries = list(read_quarantine(place.kafka, place.topics.quarantine))
    assert len(entries) == committed(place) < RejectLimit().min_count


async def test_nothing_moves_although_there_is_work(place: Place) -> None:
    class Hanging(RecordingStages):
        async def write(self, batch: object) -> None:
            await asyncio.Event().wait()

    place.produce(products(0, 3))
    lane = Pipeline(Hanging(), lane="live", batch=POLICY.batch, retry=OutageRetryPolicy())
    strict = replace(POLICY, stall=StallPolicy(seconds=0.5, look_every_s=0.1))
    worker = Worker(place.kafka, {place.topics.live: lane}, policy=strict)
    with pytest.raises(Exception, match="at write for"):
        await asyncio.wait_for(worker.run(), 30)
    assert committed(place) == 0


async def test_sigterm(place: Place) -> None:
    """Batches in flight are finished and committed, the worker leaves the group, the exit code is 0."""
    place.produce(products(0, 60))
    async with child(place, "steady") as process:
        await eventually(lambda: committed(place) > 0)
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    assert committed(place) == len(json.loads(output.splitlines()[-1]))
    assert place.members() == 0


async def test_kill_9(place: Place, engine: EngineProcess) -> None:
    """Unacknowledged records are read again."""
    named = replace(place, kafka=replace(place.kafka, member="worker-0"))
    place.produce(products(0, 60))
    async with child(named, "steady") as process:
        await eventually(lambda: committed(place) > 0)
        process.kill()
        await process.communicate()
    before = place.committed()
    stages = RecordingStages()
    async with working(named, stages):
        await eventually(lambda: committed(place) == 60)
    missing = {(p, o) for p, end in place.committed().items() for o in range(before.get(p, 0), end)}
    assert missing <= {(record.partition, record.offset) for record in stages.written}


async def test_broker_restart(tmp_path: Path, engine: EngineProcess) -> None:
    """Records are delivered again, which the guards make harmless: every product once, with its version."""
    broker = await asyncio.to_thread(Broker.start, tmp_path, cache=CACHE, timeout=90)
    port = int(broker.bootstrap.rpartition(":")[2])
    try:
        place = new_place(broker.bootstrap)
        place.produce(products(0, 50))
        async with collection_at(engine.url, Colours.space) as subject, ingest_of(place, subject.index) as ingest:
            async with reading(worker_of(place, ingest)) as task:
                await eventually(lambda: committed(place) > 0)
                await asyncio.to_thread(broker.stop)
                broker = await asyncio.to_thread(Broker.start, tmp_path, cache=CACHE, port=port, timeout=90)
                await asyncio.to_thread(place.produce, products(50, 100))
                await eventually(lambda: committed(place) == 100, timeout_s=60)
                assert not task.done()
            await all_are_indexed(subject, 100)
    finally:
        await asyncio.to_thread(broker.stop)


async def test_rebalance(place: Place, engine: EngineProcess) -> None:
    """A second worker joins and leaves meanwhile; the guards make repeated records harmless."""
    async with collection_at(engine.url, Colours.space) as subject, ingest_of(place, subject.index) as ingest:
        place.produce(products(0, 100))
        async with reading(worker_of(place, ingest)):
            async with reading(worker_of(place, ingest)):
                place.produce(products(100, 200))
                await eventually(lambda: committed(place) > 100)
            place.produce(products(200, 300))
            await eventually(lambda: committed(place) == 300, timeout_s=30)
        await all_are_indexed(subject, 300)


async def all_are_indexed(subject: Subject, count: int) -> None:
    known = await subject.index.read_states([ProductKey("default", f"p{i}") for i in range(count)])
    assert len(known) == count == await subject.shelf.count()
    assert {k.state.content_version for k in known.values()} == {1}
