from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.domain.change import Change, Delete, Patch
from catalog.domain.image_state import ImageState
from catalog.domain.product import ProductKey
from catalog.domain.record import Record, Stage
from catalog.domain.state import OFFER_FIELDS, ProductState, apply, indexed_state_from
from catalog.errors import Unavailable
from catalog.events.parser import ParserConfig, key_bytes
from catalog.ingest.ingest import Ingest, IngestPolicy
from catalog.ports import ProductWrite, WriteResult
from tests.catalog.strategies import KEY, changes
from tests.fakes import FakeEncoder, FakeIndex, ListQuarantine


class Shop:
    """An Ingest over fakes, and a way to send events to it."""

    def __init__(
        self,
        index: FakeIndex | None = None,
        *,
        poison: frozenset[str] = frozenset(),
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.index = index or FakeIndex()
        self.encoder, self.quarantine = FakeEncoder(poison=poison), ListQuarantine()
        self.ingest = Ingest(
            index=self.index,
            encoder=self.encoder,
            quarantine=self.quarantine,
            policy=IngestPolicy(parser=ParserConfig(tenant="shop")),
            clock=clock,
        )
        self.offset = 0

    def record(self, event: object, key: bytes | None = None, timestamp: int = 1000) -> Record:
        self.offset += 1
        value = event if isinstance(event, bytes) or event is None else json.dumps(event).encode()
        return Record(key, value, "products", 0, self.offset, timestamp)

    async def send(self, *events: object) -> None:
        batch = await self.ingest.plan([e if isinstance(e, Record) else self.record(e) for e in events])
        await self.ingest.prepare(batch)
        await self.ingest.encode(batch)
        await self.ingest.write(batch)

    def payload(self, id: str) -> dict[str, object]:
        return self.index.points[ProductKey("shop", id)][0]


def put(id: str = "a", version: int = 1, title: str = "mug", **fields: object) -> dict[str, object]:
    return {"id": id, "version": version, "title": title, "images": [f"http://x/{title}.jpg"], **fields}


async def test_a_new_product_is_encoded_and_written():
    shop = Shop()
    await shop.send(put(offer={"price": 5, "currency": "EUR"}, attributes={"brand": "Arbour"}))
    payload = shop.payload("a")
    assert payload["title"] == "mug"
    assert payload["price"] == 5.0
    assert payload["attributes"] == {"brand": "Arbour"}
    assert payload["live"] is True
    assert payload["image_state"] == "ok"
    assert (payload["content_version"], payload["offer_version"], payload["event_time"]) == (1, 1, 1000)
    assert set(shop.index.points[ProductKey("shop", "a")][1]) == {"fused", "image"}


async def test_a_price_never_reaches_the_encoder():
    shop = Shop()
    await shop.send(put())
    before = dict(shop.index.points[ProductKey("shop", "a")][1])
    await shop.send({"op": "patch", "id": "a", "version": 2, "offer": {"price": 9}})
    assert len(shop.encoder.encoded) == 1
    assert shop.payload("a")["price"] == 9.0
    assert shop.payload("a")["title"] == "mug"
    assert shop.index.points[ProductKey("shop", "a")][1] == before


async def test_what_has_not_changed_is_not_encoded_again():
    shop = Shop()
    await shop.send(put(version=1))
    await shop.send(put(version=2, offer={"price": 1}))
    assert len(shop.encoder.encoded) == 1
    assert shop.payload("a")["content_version"] == 2
    assert shop.payload("a")["price"] == 1.0


async def test_a_redelivery_writes_nothing():
    shop = Shop()
    await shop.send(put())
    written = len(shop.index.batches)
    await shop.send(put())
    assert len(shop.index.batches) == written


async def test_equal_content_of_two_products_is_encoded_once():
    shop = Shop()
    await shop.send(put("a"), put("b"))
    assert len(shop.encoder.encoded) == 1
    assert len(shop.index.points) == 2


async def test_a_late_event_changes_nothing():
    shop = Shop()
    await shop.send(put(version=5, title="new"))
    await shop.send(put(version=4, title="old"))
    assert shop.payload("a")["title"] == "new"
    assert len(shop.encoder.encoded) == 1


async def test_a_late_put_does_not_bring_a_deleted_product_back():
    shop = Shop()
    await shop.send(put(version=1))
    await shop.send({"op": "delete", "id": "a", "version": 5})
    await shop.send(put(version=4))
    assert shop.payload("a")["live"] is False
    assert "title" not in shop.payload("a")
    assert shop.index.points[ProductKey("shop", "a")][1] == {}


async def test_a_kafka_tombstone_deletes():
    shop = Shop()
    await shop.send(put(version=1))
    await shop.send(shop.record(None, key_bytes(ProductKey("shop", "a")), timestamp=5))
    assert shop.payload("a")["live"] is False


async def test_a_patch_waits_for_its_put():
    shop = Shop()
    await shop.send({"op": "patch", "id": "a", "version": 9, "offer": {"price": 3}})
    assert shop.payload("a")["live"] is False
    await shop.send(put(version=2, offer={"price": 1, "currency": "EUR"}))
    assert shop.payload("a")["live"] is True
    assert (shop.payload("a")["price"], shop.payload("a")["currency"]) == (3.0, "EUR")


async def test_bad_records_cost_their_neighbours_nothing():
    shop = Shop(poison=frozenset({"poison"}))
    await shop.send(put("a"), b"{", put("b", title="poison"), {"id": "c"}, put("d", title="lamp"))
    assert {key.id for key in shop.index.points} == {"a", "d"}
    assert [(r.stage, r.record.offset) for r in shop.quarantine.rejects] == [
        (Stage.PARSE, 2),
        (Stage.SCHEMA, 4),
        (Stage.ENCODE, 3),
    ]


async def test_a_clock_error_of_the_shop_does_not_freeze_a_product():
    shop = Shop(clock=lambda: 1_732_245_000.0)
    await shop.send(put(version=1_893_456_000_000, title="from 2030"), put(version=1_732_245_000_001, title="today"))
    assert shop.payload("a")["title"] == "today"
    assert [r.stage for r in shop.quarantine.rejects] == [Stage.SCHEMA]


async def test_only_the_put_that_cannot_be_encoded_is_refused():
    shop = Shop(poison=frozenset({"poison"}))
    price = {"op": "patch", "id": "a", "version": 9, "offer": {"price": 3}}
    await shop.send(put(version=1, title="mug"), put(version=2, title="poison"), price)
    assert shop.payload("a")["title"] == "mug"
    assert shop.payload("a")["price"] == 3.0
    assert [r.record.offset for r in shop.quarantine.rejects] == [2]


class FussyIndex(FakeIndex):
    """Calls a point with the attribute "cursed" invalid."""

    async def write(self, writes: Sequence[ProductWrite]) -> WriteResult:
        invalid = {w.key: "cursed" for w in writes if "cursed" in w.payload["attributes"]}
        result = await super().write([w for w in writes if w.key not in invalid])
        return WriteResult(result.conflicts, invalid)


@pytest.mark.parametrize("at", range(4))
async def test_what_the_index_calls_invalid_costs_its_own_product_nothing(at: int):
    shop = Shop(FussyIndex())
    events: list[object] = [
        put("a", version=1),
        {"op": "patch", "id": "a", "version": 2, "offer": {"price": 3}},
        {"op": "patch", "id": "a", "version": 3, "attributes": {"color": "red"}},
    ]
    events.insert(at, {"op": "patch", "id": "a", "version": 4, "offer": {"price": 9}, "attributes": {"cursed": True}})
    await shop.send(*events, put("b"))
    assert (shop.payload("a")["title"], shop.payload("a")["price"]) == ("mug", 3.0)
    assert shop.payload("a")["attributes"] == {"color": "red"}
    assert shop.payload("b")["live"] is True
    assert [(r.stage, r.record.offset) for r in shop.quarantine.rejects] == [(Stage.INDEX, at + 1)]
    assert len(shop.encoder.encoded) == 1


async def test_an_image_that_may_heal_is_fetched_again_with_the_next_put():
    shop = Shop()
    await shop.send(put(version=1))
    payload, vectors = shop.index.points[ProductKey("shop", "a")]
    healed = {**payload, "image_state": ImageState.UNAVAILABLE.value, "fingerprint": None}
    shop.index.points[ProductKey("shop", "a")] = (healed, vectors)
    await shop.send(put(version=2))
    assert len(shop.encoder.encoded) == 2
    assert shop.payload("a")["image_state"] == "ok"


async def test_a_conflict_is_decided_again():
    shop = Shop()
    await shop.send(put(version=1))
    batch = await shop.ingest.plan([shop.record(put(version=2, title="lamp"))])
    await shop.send({"op": "patch", "id": "a", "version": 3, "offer": {"price": 7}})
    await shop.ingest.prepare(batch)
    await shop.ingest.encode(batch)
    await shop.ingest.write(batch)
    assert (shop.payload("a")["title"], shop.payload("a")["price"]) == ("lamp", 7.0)
    assert len(shop.encoder.encoded) == 2


@pytest.mark.parametrize("port", ["index", "quarantine"])
async def test_a_write_cut_short_may_be_repeated(port: str):
    shop = Shop()
    batch = await shop.ingest.plan([shop.record(put()), shop.record(b"{")])
    await shop.ingest.prepare(batch)
    await shop.ingest.encode(batch)
    broken = getattr(shop, port)
    broken.failure = Unavailable("gone for a moment")
    with pytest.raises(Unavailable):
        await shop.ingest.write(batch)
    broken.failure = None
    await shop.ingest.write(batch)
    assert shop.payload("a")["title"] == "mug"
    assert len(shop.quarantine.rejects) == 1


def event_of(change: Change) -> Record:
    if isinstance(change, Delete):
        event: dict[str, object] = {"op": "delete"}
    elif isinstance(change, Patch):
        offer = {n: v for n, v in change.fields.items() if n in OFFER_FIELDS}
        attributes = {n.removeprefix("attributes."): v for n, v in change.fields.items() if n not in OFFER_FIELDS}
        event = {"op": "patch", "offer": offer, "attributes": attributes}
    else:
        p = change.product
        offer = {"price": p.offer.price, "available": p.offer.available}
        event = {"title": p.content.title, "images": p.content.images, "attributes": dict(p.attributes), "offer": offer}
    value = json.dumps({**event, "id": change.key.id, "tenant": change.key.tenant, "version": change.version})
    return Record(None, value.encode(), "products", 0, 0, 0)


@settings(max_examples=150)
@given(st.lists(st.lists(changes, max_size=3), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_batches_in_flight_together_end_in_the_state_by_version(batches: list[list[Change]], random):
    """The last state is the fold of all changes, however the steps of the batches interleave."""
    shop = Shop()

    async def run() -> None:
        steps = []
        for changes_of_batch in batches:
            steps.append([changes_of_batch, None, ["prepare", "encode", "write"]])
        while steps:
            step = random.choice(steps)
            if step[1] is None:
                step[1] = await shop.ingest.plan([event_of(c) for c in step[0]])
            else:
                await getattr(shop.ingest, step[2].pop(0))(step[1])
            if not step[2]:
                steps.remove(step)

    asyncio.run(run())
    all_changes = [change for batch in batches for change in batch]
    expected = reduce(apply, all_changes, ProductState())
    if expected == ProductState():
        assert not shop.index.points
        return
    payload, vectors = shop.index.points[KEY]
    state = indexed_state_from(payload).state
    assert (state.live, state.base, state.patched) == (expected.live, expected.base, expected.patched)
    assert dict(state.fields) == dict(expected.fields)
    assert (payload.get("title"), bool(vectors)) == (
        (expected.content.title, True) if expected.content else (None, False)
    )
