from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from catalog.domain.image_state import ImageState
from catalog.domain.product import ProductKey
from catalog.domain.record import Record
from catalog.errors import FatalError, Unavailable
from catalog.events.parser import ParserConfig
from catalog.ingest.decide import InlinePolicy
from catalog.ingest.image_retry import CAN_HEAL, PUT_MAY_HEAL, ImageRetrier, ImageRetryPolicy
from catalog.ingest.ingest import Ingest, IngestPolicy
from catalog.ports import ProductWrite, WriteResult
from tests.fakes import FakeEncoder, FakeIndex, ListQuarantine

KEY = ProductKey("shop", "a")
POLICY = ImageRetryPolicy(delays_s=(10, 100), jitter=0, poll_interval_s=0.001)
URL = "http://x/mug.jpg"


class Shop:
    """Ingest and ImageRetrier over one index, with a clock that the test sets."""

    def __init__(self, index: FakeIndex | None = None, *, policy: ImageRetryPolicy = POLICY) -> None:
        self.now = 1000.0
        self.index = index or FakeIndex()
        self.encoder = FakeEncoder(away={URL: ImageState.UNAVAILABLE})
        self.policy = policy
        self.ingest = Ingest(
            index=self.index,
            encoder=self.encoder,
            quarantine=ListQuarantine(),
            policy=IngestPolicy(
                parser=ParserConfig(tenant="shop"), image_retry=policy, inline=InlinePolicy(max_chars=30)
            ),
            clock=lambda: self.now,
        )
        self.retrier = self.worker()

    def worker(self, *, uniform: float = 0.0) -> ImageRetrier:
        return ImageRetrier(
            index=self.index,
            retry_queue=self.index,
            encoder=self.encoder,
            policy=self.policy,
            clock=lambda: self.now,
            uniform=lambda: uniform,
        )

    async def send(self, **fields: object) -> None:
        record = Record(None, json.dumps({"id": "a", **fields}).encode(), "products", 0, 0, 1000)
        await self.ingest.write(await self.ingest.plan([record]))

    async def put(self, version: int = 1, **fields: object) -> None:
        await self.send(**{"version": version, "title": "mug", "images": [URL], **fields})

    async def after(self, seconds: float) -> int:
        self.now += seconds
        return await self.retrier.round()

    def heal(self) -> None:
        self.encoder.away.clear()

    @property
    def payload(self) -> dict[str, object]:
        return self.index.points[KEY][0]

    @property
    def retry_state(self) -> tuple[object, object, object]:
        p = self.payload
        return p["image_state"], p.get("image_tries"), p.get("image_retry_at")

    @property
    def vectors(self) -> set[str]:
        return set(self.index.points[KEY][1])


@pytest.mark.parametrize("state", ImageState)
def test_only_what_can_heal_waits(state: ImageState):
    retry = POLICY.after(KEY, state, tries=1, now_ms=5000)
    assert (retry is not None) == (state in CAN_HEAL | PUT_MAY_HEAL)


def test_each_wait_is_the_next_of_the_list_and_after_the_last_there_is_none():
    retries = [POLICY.after(KEY, ImageState.MISSING, tries=n, now_ms=5000) for n in (1, 2, 3)]
    assert [(r.tries, r.due_at_ms) for r in retries if r] == [(1, 15_000), (2, 105_000), (3, None)]


def test_products_of_one_host_do_not_come_back_at_once():
    policy = ImageRetryPolicy(delays_s=(100,), jitter=0.5)
    retries = [policy.after(ProductKey("shop", str(n)), ImageState.MISSING, tries=1, now_ms=0) for n in range(100)]
    waits = [r.due_at_ms for r in retries if r and r.due_at_ms is not None]
    assert 100_000 <= min(waits) < 105_000
    assert 145_000 < max(waits) <= 150_000


async def test_a_photo_that_came_back_is_encoded_without_any_event():
    shop = Shop()
    await shop.put()
    assert shop.retry_state == ("unavailable", 1, 1_010_000)
    assert shop.vectors == {"fused"}
    shop.heal()
    assert await shop.after(9.9) == 0
    assert await shop.after(0.2) == 1
    assert shop.retry_state == ("ok", None, None)
    assert shop.vectors == {"fused", "image"}
    assert await shop.after(10_000) == 0


async def test_a_healed_photo_is_not_encoded_again():
    shop = Shop()
    await shop.put()
    shop.heal()
    await shop.after(10)
    encoded = len(shop.encoder.encoded)
    await shop.put(version=2, offer={"price": 9})
    assert len(shop.encoder.encoded) == encoded
    assert shop.payload["price"] == 9.0


async def test_a_try_that_fails_rewrites_no_vectors_and_waits_longer():
    shop = Shop()
    await shop.put()
    shop.encoder.away[URL] = ImageState.MISSING
    written, encoded = len(shop.index.batches), len(shop.encoder.encoded)
    assert await shop.after(10) == 1
    assert shop.retry_state == ("missing", 2, 1_110_000)
    assert await shop.after(100) == 1
    assert shop.retry_state == ("missing", 3, None)
    assert await shop.after(10**6) == 0
    assert all(w.vectors is None for batch in shop.index.batches[written:] for w in batch)
    assert len(shop.encoder.encoded) == encoded
    assert shop.payload["title"] == "mug"


async def test_a_put_of_the_same_content_fetches_at_once_and_restarts_the_delays():
    shop = Shop()
    await shop.put()
    await shop.after(10)
    await shop.after(100)
    await shop.put(version=2)
    assert shop.retry_state == ("unavailable", 1, 1_120_000)
    shop.heal()
    await shop.put(version=3)
    assert shop.retry_state == ("ok", None, None)


async def test_without_delays_nothing_is_tried_by_itself_but_the_next_put_is():
    shop = Shop(policy=ImageRetryPolicy(delays_s=()))
    await shop.put()
    assert shop.retry_state == ("unavailable", 1, None)
    shop.heal()
    assert await shop.after(10**6) == 0
    await shop.put(version=2)
    assert shop.retry_state == ("ok", None, None)


async def test_a_price_keeps_the_retry_and_a_delete_ends_it():
    shop = Shop()
    await shop.put()
    await shop.send(op="patch", version=2, offer={"price": 3})
    assert shop.retry_state == ("unavailable", 1, 1_010_000)
    await shop.send(op="delete", version=3)
    assert "image_retry_at" not in shop.payload
    assert await shop.after(10) == 0


async def test_a_photo_that_cannot_heal_is_given_up():
    shop = Shop()
    await shop.put()
    shop.encoder.away[URL] = ImageState.BROKEN
    await shop.after(10)
    assert shop.retry_state == ("broken", None, None)
    encoded = len(shop.encoder.encoded)
    await shop.put(version=2)
    assert len(shop.encoder.encoded) == encoded


async def test_a_photo_that_was_not_allowed_is_fetched_by_the_next_put_only():
    """An operator who allows it puts the product again, for example by a back-fill; nothing else helps."""
    shop = Shop()
    shop.encoder.away[URL] = ImageState.BLOCKED
    await shop.put()
    assert shop.retry_state == ("blocked", 1, None)
    shop.heal()
    assert await shop.after(10**6) == 0
    await shop.send(op="patch", version=2, offer={"price": 3})
    await shop.put()
    assert shop.retry_state == ("blocked", 1, None), "a repeated put, as in a replay, encodes nothing"
    await shop.put(version=3)
    assert shop.retry_state == ("ok", None, None)


async def test_a_photo_that_gives_no_finite_vector_is_given_up():
    shop = Shop()
    await shop.put()
    shop.heal()
    shop.encoder.poison = frozenset({"mug"})
    await shop.after(10)
    assert shop.retry_state == ("broken", None, None)
    assert shop.vectors == {"fused"}


class ConcurrentPatch(FakeEncoder):
    """A price arrives while photos are fetched."""

    shop: Shop

    async def prepare(self, items: Sequence[object]) -> Sequence[object]:  # type: ignore[override]
        await self.shop.send(op="patch", version=9, offer={"price": 7})
        return await super().prepare(items)  # type: ignore[arg-type]


async def test_a_conflict_is_left_alone_and_still_waits():
    shop = Shop()
    await shop.put()
    shop.heal()
    encoder = ConcurrentPatch()
    encoder.shop = shop
    retrier = ImageRetrier(
        index=shop.index,
        retry_queue=shop.index,
        encoder=encoder,
        policy=POLICY,
        clock=lambda: shop.now,
        uniform=lambda: 0.0,
    )
    shop.now += 10
    await retrier.round()
    assert shop.payload["price"] == 7.0
    assert shop.retry_state == ("unavailable", 2, 1_070_000)
    assert await shop.after(60) == 1
    assert shop.retry_state == ("ok", None, None)
    assert shop.payload["price"] == 7.0


async def test_two_workers_at_once_fetch_each_photo_once():
    class Slow(FakeIndex):
        async def due(self, now_ms: int, *, limit: int) -> Sequence[dict[str, object]]:
            due = await super().due(now_ms, limit=limit)
            await asyncio.sleep(0)  # both have read before either writes
            return due

    shop = Shop(Slow())
    for id in "abcde":
        await shop.put(id=id)
    shop.heal()
    shop.now += 10
    fetched = len(shop.encoder.fetched)
    retried = await asyncio.gather(shop.worker(uniform=0.1).round(), shop.worker(uniform=0.2).round())
    assert sum(retried) == len(shop.encoder.fetched) - fetched == 5


async def test_after_a_worker_died_the_retry_waits_for_the_lease():
    shop = Shop()
    await shop.put()
    shop.heal()
    shop.encoder.failure = Unavailable("too much waits")
    with pytest.raises(Unavailable):
        await shop.after(10)
    shop.encoder.failure = None
    assert await shop.after(59) == 0
    assert await shop.after(1) == 1
    assert shop.retry_state == ("ok", None, None)


async def test_a_photo_with_which_every_worker_dies_is_not_tried_for_ever():
    shop = Shop()
    await shop.put()
    shop.heal()
    shop.encoder.failure = Unavailable("the worker dies here")
    fetched = len(shop.encoder.fetched)
    for _ in POLICY.delays_s:
        with pytest.raises(Unavailable):
            await shop.after(100)
    await shop.after(100)
    assert shop.retry_state == ("unavailable", 3, None)
    assert len(shop.encoder.fetched) - fetched == len(POLICY.delays_s)
    shop.encoder.failure = None
    await shop.put(version=2)
    assert shop.retry_state == ("ok", None, None)


class Tarpit(FakeEncoder):
    """The lease ends while a photo is fetched, and another worker begins."""

    shop: Shop
    other: ImageRetrier

    async def prepare(self, items: Sequence[object]) -> Sequence[object]:  # type: ignore[override]
        self.shop.now += 2 * POLICY.lease_s
        await self.other.round()
        return await super().prepare(items)  # type: ignore[arg-type]


async def test_photos_that_take_longer_than_the_lease_are_not_tried_for_ever():
    shop = Shop()
    await shop.put()
    tarpit = Tarpit(away=shop.encoder.away)
    tarpit.shop = shop
    shop.encoder = tarpit
    tarpit.other = shop.retrier = shop.worker()
    await shop.after(10)
    assert len(tarpit.fetched) == len(POLICY.delays_s)
    assert shop.retry_state == ("unavailable", 3, None)


async def test_a_photo_that_was_given_inline_and_is_not_kept_whole_waits_for_a_put():
    shop = Shop()
    inline = "data:image/png;base64," + "x" * 100
    shop.encoder.away[inline] = ImageState.BROKEN
    await shop.put(images=[URL, inline])
    before = len(shop.encoder.fetched)
    assert shop.retry_state == ("unavailable", 1, 1_010_000)
    await shop.after(10)
    assert shop.retry_state == ("unavailable", 1, None)
    assert len(shop.encoder.fetched) == before


async def test_a_point_that_the_index_does_not_take_is_given_up():
    class Fussy(FakeIndex):
        async def write(self, writes: Sequence[ProductWrite]) -> WriteResult:
            invalid = {w.key: "too large" for w in writes if w.vectors and "image" in w.vectors}
            result = await super().write([w for w in writes if w.key not in invalid])
            return WriteResult(result.conflicts, invalid)

    shop = Shop(Fussy())
    await shop.put()
    shop.heal()
    await shop.after(10)
    assert shop.retry_state == ("unavailable", 2, None)


async def test_an_outage_is_waited_for_and_logged_once(caplog: pytest.LogCaptureFixture):
    shop = Shop()
    await shop.put()
    shop.heal()
    shop.now += 10
    shop.index.failure = Unavailable("gone for a moment")
    running = asyncio.create_task(shop.retrier.run())
    await asyncio.sleep(0.05)
    shop.index.failure = None
    async with asyncio.timeout(5):
        while True:
            if shop.payload["image_state"] == "ok":
                break
            await asyncio.sleep(0.001)
    assert len([r for r in caplog.records if "gone for a moment" in r.message]) == 1
    shop.index.failure = FatalError("no such collection")
    with pytest.raises(FatalError):
        await asyncio.wait_for(running, 5)
