"""The complete path on a real broker and a real engine: events in, searchable products out."""

from __future__ import annotations

import asyncio
import io
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from catalog.domain.index_query import IndexQuery
from catalog.domain.product import ProductKey
from embedded.engine.process import EngineProcess
from encoders.service import EncoderService
from indexer import QdrantReader, QdrantWriter, collection_name, connect
from liveshelf import sample
from liveshelf.wiring.encoder import collection_policy_of
from liveshelf.wiring.kafka import kafka_of
from liveshelf.wiring.worker import worker_of
from streams.kafka_client import admin_client
from streams.publish.catalogue_files import Catalogue, backfill
from streams.publish.publisher import Publisher
from streams.quarantine.topic import QuarantineEntry, read_quarantine
from tests.integration.shop import Shop, open_shop


@pytest.fixture
def shop(broker: str, engine: EngineProcess, tmp_path: Path) -> Iterator[Shop]:
    with open_shop(broker, engine, tmp_path, image_file_roots=(tmp_path,)) as opened:
        yield opened


@asynccontextmanager
async def running(shop: Shop) -> AsyncIterator[EncoderService]:
    """A ready worker in this process; its encoder counts the encoded items."""
    async with worker_of(shop.settings) as (worker, encoder):
        task = asyncio.create_task(worker.run())
        try:
            while not worker.ready:
                assert not task.done(), task
                await asyncio.sleep(0.05)
            yield encoder
        finally:
            worker.stop()
            await task


async def applied(shop: Shop, events: list[Any], topic: str | None = None) -> None:
    ends = await asyncio.to_thread(shop.publish, events, topic)
    await asyncio.to_thread(shop.wait_until_applied, ends, topic)


async def backfilled(shop: Shop, products: Path, *, version: int) -> None:
    """Sends the catalogue through the back-fill topic and waits until it is applied."""

    def send() -> None:
        with Publisher(kafka_of(shop.settings), shop.settings.backfill_topic) as publisher:
            result = backfill(Catalogue(products, version=version), publisher)
        shop.wait_until_applied(result.ends, shop.settings.backfill_topic)

    await asyncio.to_thread(send)


@asynccontextmanager
async def shelf_of(shop: Shop) -> AsyncIterator[tuple[QdrantWriter, QdrantReader]]:
    from encoders import load

    space = load(shop.settings.model).space
    client = connect(shop.settings.qdrant_url, api_key=None, timeout_s=20)
    try:
        name = collection_name(collection_policy_of(shop.settings), space)
        yield (
            QdrantWriter(client, collection=name, space=space),
            QdrantReader(client, collection=shop.settings.collection, space=space),
        )
    finally:
        await client.close()


def photo(path: Path, colour: str) -> str:
    Image.new("RGB", (64, 64), colour).save(path, "JPEG")
    return path.as_uri()


async def test_two_workers_share_a_topic_and_one_dies_half_way(shop: Shop):
    """Nothing is lost or stale: every product is indexed with its newest version."""
    count = 2000
    puts = [
        {"id": f"p{i}", "version": 10 + i % 7, "title": f"thing {i}", "offer": {"price": float(i)}}
        for i in range(count)
    ]
    late = [{"id": f"p{i}", "version": 5, "title": f"old thing {i}"} for i in range(0, count, 10)]
    first, second = shop.start_worker(), shop.start_worker()
    ends = shop.publish([*puts, *late])
    assert len(ends) == shop.settings.topic_partitions
    async with shelf_of(shop) as (index, shelf):
        async with asyncio.timeout(120):
            while await shelf.count() < count // 2:
                await asyncio.to_thread(first.poll)
        first.send_signal(signal.SIGKILL)
        first.wait()
        await asyncio.to_thread(shop.wait_until_applied, ends, None, 150)
        assert second.poll() is None
        assert await shelf.count() == count
        known = await index.read_states([ProductKey("default", f"p{i}") for i in range(count)])
    assert {key.id: k.state.content_version for key, k in known.items()} == {p["id"]: p["version"] for p in puts}
    assert {key.id: k.state.fields["price"] for key, k in known.items()} == {p["id"]: p["offer"]["price"] for p in puts}


async def test_bad_records_cost_their_neighbours_nothing(shop: Shop, tmp_path: Path):
    good = [
        {"id": f"good-{i}", "title": f"thing {i}", "images": [photo(tmp_path / f"{i}.jpg", "red")]} for i in range(8)
    ]
    (tmp_path / "text.jpg").write_text("this is no image")
    flagged = [
        {"id": "undecodable", "title": "lamp", "images": [(tmp_path / "text.jpg").as_uri()]},
        {"id": "missing", "title": "chair", "images": [(tmp_path / "nowhere.jpg").as_uri()]},
        {"id": "elsewhere", "title": "shoe", "images": ["file:///etc/hostname"]},
    ]
    bad = [b"{not json", b'{"id": "x", "title": 5}', b"\xff\xfe"]
    async with running(shop):
        await applied(shop, [*good[:4], *bad, *flagged, *good[4:]])
    async with shelf_of(shop) as (_, shelf):
        assert await shelf.count() == len(good) + len(flagged)
        payloads = {f["id"]: await shelf.get(ProductKey("default", f["id"])) for f in [*good, *flagged]}
    assert {p["image_state"] for id, p in payloads.items() if id.startswith("good")} == {"ok"}
    assert {id: p["image_state"] for id, p in payloads.items() if not id.startswith("good")} == {
        "undecodable": "broken",
        "missing": "missing",
        "elsewhere": "blocked",
    }
    assert all(payloads[f["id"]]["image_reason"] for f in flagged)
    rejects = [e.reject for e in read_quarantine(kafka_of(shop.settings), shop.settings.quarantine_topic)]
    kinds = {(r.stage, r.record.value) for r in rejects}
    assert kinds == {("parse", bad[0]), ("schema", bad[1]), ("parse", bad[2])}
    assert all(r.reason and r.record.topic == shop.settings.live_topic for r in rejects)


async def test_a_second_backfill_and_a_replay_encode_nothing(shop: Shop, tmp_path: Path):
    products = await asyncio.to_thread(sample.draw, tmp_path / "sample", count=60)
    async with running(shop) as encoder, shelf_of(shop) as (_, shelf):
        await backfilled(shop, products, version=1)
        assert await shelf.count() == encoder.encoded == 60
        forwards = encoder.forwards
        await backfilled(shop, products, version=2)
        await backfilled(shop, products, version=1)
        assert (encoder.encoded, encoder.forwards) == (60, forwards)
        payload = await shelf.get(ProductKey("default", "sku-00001"))
    assert payload is not None
    assert (payload["content_version"], payload["image_state"]) == (2, "ok")


async def test_a_put_product_is_found_and_a_deleted_one_is_not(shop: Shop, tmp_path: Path):
    events = [
        {"id": c, "version": 1, "title": f"{c} square", "images": [photo(tmp_path / f"{c}.jpg", c)]}
        for c in ("red", "green", "blue")
    ]
    data = io.BytesIO()
    Image.new("RGB", (80, 80), "green").save(data, "PNG")
    async with running(shop) as encoder, shelf_of(shop) as (_, shelf):
        await applied(shop, events)
        vector = await encoder.encode_query(text=None, image=data.getvalue())
        hits = await shelf.search(IndexQuery(vector=vector, limit=3))
        assert hits[0].key.id == "green"
        await applied(shop, [{"op": "delete", "id": "green", "version": 2}, {**events[1], "version": 1}])
        hits = await shelf.search(IndexQuery(vector=vector, limit=3))
        assert {hit.key.id for hit in hits} == {"red", "blue"}
        await applied(shop, [{"op": "patch", "id": "red", "version": 2, "offer": {"price": 3}}])
        payload = await shelf.get(ProductKey("default", "red"))
        assert payload is not None
        assert payload["price"] == 3.0
        assert encoder.encoded == 3


async def test_a_topic_of_bad_records_stops_the_worker_unless_there_is_no_limit(shop: Shop):
    """300 bad records, minimum 100: batches are of 64, so the worker stops with one batch in quarantine."""
    worker = shop.start_worker()
    ends = await asyncio.to_thread(shop.publish, [b'{"id": "x", "title": %d}' % i for i in range(300)])
    assert await asyncio.to_thread(worker.wait, 60) == 1
    log = shop.log(0)
    assert "title: " in log
    assert "LIVESHELF_REJECT_MAX_SHARE" in log
    assert "Traceback" not in log
    assert len(_entries(shop)) < 100
    assert committed(shop) == len(_entries(shop))
    shop.settings = shop.settings.model_copy(update={"reject_max_share": 1.0})
    async with running(shop):
        await asyncio.to_thread(shop.wait_until_applied, ends)
        await applied(shop, [{"id": "good", "title": "mug"}])
    offsets = {(e.reject.record.partition, e.reject.record.offset) for e in _entries(shop)}
    assert len(offsets) == 300


def _entries(shop: Shop) -> list[QuarantineEntry]:
    return list(read_quarantine(kafka_of(shop.settings), shop.settings.quarantine_topic))


def committed(shop: Shop) -> int:
    """The number of committed records of the live topic."""
    kafka = kafka_of(shop.settings)
    with admin_client(kafka) as client:
        offsets = client.list_group_offsets({kafka.group: None})[kafka.group]
    return sum(value.offset for key, value in offsets.items() if key.topic == shop.settings.live_topic)
