"""The reject limit: it stops the worker after a bad deploy, and not for a few bad records."""

from __future__ import annotations

import json

import pytest

from catalog.domain.record import Record, Reject, Stage
from catalog.errors import FatalError, Unavailable
from catalog.ingest.ingest import Ingest, IngestPolicy
from catalog.ingest.reject_limit import BUCKETS, RejectLimit, RejectMeter
from tests.fakes import FakeEncoder, FakeIndex, ListQuarantine


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def rejects(count: int, reason: str = "title: 5 is not text", stage: Stage = Stage.SCHEMA) -> list[Reject]:
    return [Reject(Record(None, b"", "products", 0, i, 0), stage, reason) for i in range(count)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> RejectMeter:
    return RejectMeter(RejectLimit(max_share=0.5, min_count=100, window_s=60), clock=clock)


def test_a_small_poisoned_batch_at_the_start_stops_nothing(meter: RejectMeter):
    meter.count(64, rejects(64))
    meter.check()
    meter.count(64, rejects(35))
    meter.check()


def test_more_than_the_share_stops_and_says_how_many_why_and_what_to_do(meter: RejectMeter):
    meter.count(90, [*rejects(30, "id: missing"), *rejects(60, "price: 'x' is not a number")])
    meter.count(50, rejects(40, "price: 'y' is not a number"))
    with pytest.raises(FatalError) as caught:
        meter.check()
    message = str(caught.value)
    assert "130 of the last 140 records were rejected" in message
    assert "price: 'x' is not a number (stage schema)" in message
    assert "LIVESHELF_REJECT_MAX_SHARE" in message
    assert "\n" not in message


def test_the_share_itself_is_still_allowed(meter: RejectMeter):
    meter.count(400, rejects(200))
    meter.check()
    meter.count(1, rejects(1))
    with pytest.raises(FatalError):
        meter.check()


def test_a_share_of_one_never_stops(clock: Clock):
    meter = RejectMeter(RejectLimit(max_share=1.0), clock=clock)
    meter.count(10_000, rejects(10_000))
    meter.check()


def test_what_has_left_the_window_no_longer_counts(meter: RejectMeter, clock: Clock):
    meter.count(99, rejects(99))
    clock.now += 59
    meter.count(0, rejects(0))
    meter.check()
    clock.now += 2
    meter.count(99, rejects(99))
    meter.check()
    meter.count(1, rejects(1))
    with pytest.raises(FatalError, match="100 of the last 100"):
        meter.check()


def test_the_meter_stays_small_whatever_passes(meter: RejectMeter, clock: Clock):
    for number in range(2000):
        clock.now += 0.1
        meter.count(100, rejects(2, f"reason {number}"))
    assert len(meter._buckets) <= BUCKETS + 1
    assert all(len(bucket.kinds) <= 64 for bucket in meter._buckets)


class Shop:
    def __init__(self, limit: RejectLimit) -> None:
        self.quarantine = ListQuarantine()
        self.index = FakeIndex()
        self.encoder = FakeEncoder(poison=frozenset({"poison"}))
        self.ingest = Ingest(
            index=self.index, encoder=self.encoder, quarantine=self.quarantine, policy=IngestPolicy(reject_limit=limit)
        )

    async def ingest_events(self, *events: object) -> None:
        records = [Record(None, json.dumps(e).encode(), "products", 0, i, 1000) for i, e in enumerate(events)]
        batch = await self.ingest.plan(records)
        await self.ingest.prepare(batch)
        await self.ingest.encode(batch)
        await self.ingest.write(batch)


@pytest.mark.parametrize("bad", [{"id": "a"}, {"id": "a", "title": "poison"}])
async def test_nothing_of_the_batch_that_is_too_much_reaches_quarantine(bad: dict[str, str]):
    shop = Shop(RejectLimit(min_count=10))
    await shop.ingest_events(*[bad] * 9)
    assert len(shop.quarantine.rejects) == 9
    with pytest.raises(FatalError):
        await shop.ingest_events(*[bad] * 9)
    assert len(shop.quarantine.rejects) == 9


async def test_good_records_keep_the_worker_going():
    shop = Shop(RejectLimit(min_count=10))
    for round in range(10):
        await shop.ingest_events(*[{"id": "a"}] * 5, *[{"id": f"{round}-{i}", "title": "mug"} for i in range(5)])
    assert len(shop.quarantine.rejects) == 50


async def test_a_write_that_is_repeated_counts_once():
    shop = Shop(RejectLimit(min_count=10))
    records = [Record(None, b"{", "products", 0, i, 1000) for i in range(6)]
    batch = await shop.ingest.plan(records)
    shop.quarantine.failure = Unavailable("away")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await shop.ingest.write(batch)
    shop.quarantine.failure = None
    await shop.ingest.write(batch)
    assert len(shop.quarantine.rejects) == 6
