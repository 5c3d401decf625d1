"""A shop's own records as product events: envelopes, flat rows, and rejected ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.domain.change import Delete, Put
from catalog.domain.product import Content, Offer, ProductKey
from catalog.domain.record import Record, Reject, Stage
from catalog.errors import InvalidInput
from catalog.events.mapping import UNAVAILABLE, RecordMapping
from catalog.events.mapping_file import read_mapping
from catalog.events.parser import ParsedEvent, ParserConfig, parse, product_keys_in
from tests.catalog.strategies import events, json_values

ENVELOPE = read_mapping(
    """
    envelope = "debezium"
    id = "sku"
    title = "name"
    images = ["photo", "more_photos"]
    price = "price_cents"
    price_divisor = 100
    currency = "currency"
    available = "stock"
    version = "source.lsn"
    version_is = "counter"
    tenant = "shop_id"
    deleted = "is_deleted"
    attributes = { brand = "brand", color = "details.color" }
    """
)
FLAT = RecordMapping(id="sku", title="name", version="row.changed", version_is="time", keep_other_columns=True)
ROW = {
    "sku": 17,
    "name": "Linen napkin",
    "photo": "https://x/1.jpg",
    "more_photos": '["https://x/2.jpg", "https://x/3.jpg"]',
    "price_cents": 1250,
    "currency": "EUR",
    "stock": 3,
    "shop_id": 5,
    "brand": "Arbour",
    "details": {"color": "red", "secret": 1},
    "cost": 4,
}


def envelope(op: str, before: Any = None, after: Any = None, lsn: Any = 99) -> dict[str, Any]:
    return {"before": before, "after": after, "op": op, "ts_ms": 1732245000123, "source": {"lsn": lsn, "ts_ms": 5}}


def read(value: object, mapping: RecordMapping = ENVELOPE) -> ParsedEvent | Reject | None:
    raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return parse(Record(b'{"sku": 17}', raw, "products", 0, 0, 1000), ParserConfig(tenant="shop", mapping=mapping))


def change(value: object, mapping: RecordMapping = ENVELOPE) -> object:
    parsed = read(value, mapping)
    assert isinstance(parsed, ParsedEvent), parsed
    return parsed.change


def refusal(value: object, mapping: RecordMapping = ENVELOPE) -> str:
    refused = read(value, mapping)
    assert isinstance(refused, Reject), refused
    assert refused.stage is Stage.SCHEMA
    return refused.reason


@pytest.mark.parametrize("op", ["c", "r", "u"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_row_that_is_there_is_a_put(op: str, wrapped: bool):
    value = envelope(op, before=None, after=ROW)
    put = change({"schema": {"type": "struct"}, "payload": value} if wrapped else value)
    assert isinstance(put, Put)
    assert (put.key, put.version) == (ProductKey("5", "17"), 99)
    assert put.product.content == Content("Linen napkin", tuple(f"https://x/{n}.jpg" for n in (1, 2, 3)))
    assert put.product.offer == Offer(12.5, "EUR", True)
    assert put.product.attributes == {"brand": "Arbour", "color": "red"}


@pytest.mark.parametrize(
    "value",
    [
        envelope("d", before=ROW),
        envelope("d", before={"sku": 17, "shop_id": 5, "name": None}),
        envelope("u", before=ROW, after=None),
        envelope("d", after=ROW),
        envelope("u", after=ROW | {"is_deleted": True}),
    ],
)
def test_a_row_that_is_gone_is_a_delete(value: dict[str, Any]):
    assert change(value) == Delete(ProductKey("5", "17"), 99)


def test_the_tombstone_after_a_delete_says_nothing():
    assert read(None) is None


def test_a_tombstone_among_flat_rows_deletes_what_its_key_names():
    assert change(None, FLAT) == Delete(ProductKey("shop", "17"), 1000)


def test_an_event_of_the_contract_is_taken_as_it_is():
    event = {"op": "patch", "id": "a", "version": 3, "offer": {"price": 2}}
    for mapping in (ENVELOPE, FLAT):
        assert change(event, mapping) == change(event, RecordMapping(id="id", title="title"))
    assert "mapping" not in refusal({"op": "put", "id": "a", "title": 5})


@pytest.mark.parametrize(
    ("changed", "version"),
    [
        (1732245000123, 1732245000123),
        ("1732245000123", 1732245000123),
        ("2024-11-22T03:10:00.123Z", 1732245000123),
        ("2024-11-22 03:10:00.123", 1732245000123),
        ("2024-11-22T04:10:00.123+01:00", 1732245000123),
    ],
)
def test_a_version_may_be_a_time(changed: object, version: int):
    put = change({"sku": "a", "name": "t", "changed": changed, "season": "autumn", "list": [1, {}]}, FLAT)
    assert isinstance(put, Put)
    assert put.version == version
    assert put.product.attributes == {"season": "autumn"}


def test_without_a_mapped_version_the_records_timestamp_serves():
    put = change({"sku": "a", "name": "t"}, RecordMapping(id="sku", title="name"))
    assert isinstance(put, Put)
    assert put.version == 1000


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "mapping.envelope: an envelope is a JSON object"),
        ({"sku": 17}, "mapping.envelope: op is null, not one of c, r, u, d"),
        ({"payload": None}, "mapping.envelope: the payload of an envelope is a JSON object"),
        (envelope("t"), 'mapping.envelope: op is "t"'),
        (envelope("d"), "mapping.envelope: before and after are null"),
        (envelope("c", after=7), "mapping.envelope: a row of an envelope is a JSON object, not 7"),
        (envelope("c", after=ROW, lsn=None), "mapping.version: there is nothing in source.lsn"),
        (envelope("c", after=ROW, lsn="0000002a:1"), "mapping.version: source.lsn is"),
        (envelope("c", after=ROW | {"sku": None}), "mapping.id: there is nothing in sku"),
        (envelope("c", after=ROW | {"sku": [1]}), "(mapping.id reads it from sku)"),
        (envelope("c", after=ROW | {"name": UNAVAILABLE}), "mapping.title: the database's log has no value of name"),
        (envelope("c", after=ROW | {"name": 5}), "(mapping.title reads it from name)"),
        (envelope("c", after=ROW | {"price_cents": "DIc="}), "mapping.price: price_cents is"),
        (envelope("c", after=ROW | {"price_cents": -5}), "(mapping.price reads it from price_cents)"),
        (envelope("c", after=ROW | {"stock": "plenty"}), "mapping.available: stock is"),
        (envelope("c", after=ROW | {"more_photos": "[oops"}), "mapping.images: more_photos is"),
        (envelope("c", after=ROW | {"more_photos": '["\\ud800"]'}), "mapping.images: more_photos is"),
    ],
)
def test_what_is_refused_names_the_mappings_key(value: object, reason: str):
    assert reason in refusal(value)


def test_words_for_yes_and_no():
    mapping = RecordMapping(id="sku", title="name", available="stock")
    for word, meant in {"true": True, "F": False, "0": False, " yes ": True, "": False}.items():
        put = change({"sku": "a", "name": "t", "stock": word}, mapping)
        assert isinstance(put, Put)
        assert put.product.offer.available is meant


def test_a_refused_row_can_be_found_by_its_product():
    record = Record(None, json.dumps(envelope("c", after=ROW | {"name": 5})).encode(), "products", 0, 0, 0)
    assert product_keys_in(record, ParserConfig(mapping=ENVELOPE)) == {ProductKey("5", "17")}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "mapping.id: missing"),
        ("id = 5", "mapping.id: 5 is not the name of a column"),
        ('id = ""', "mapping.id: '' is not"),
        ('id = "a"', "mapping.title: name the column"),
        ('id = "a"\ntitel = "b"', "mapping.titel: there is no such key"),
        ('id = "a"\ntitle = "b"\nversion = "c"', "mapping.version_is: set"),
        ('id = "a"\ntitle = "b"\nversion_is = "time"', "mapping.version_is: set"),
        (
            'id = "a"\ntitle = "b"\nversion = "c"\nversion_is = "x"',
            "mapping.version_is: 'x' is not one of time, counter",
        ),
        ('id = "a"\ntitle = "b"\nenvelope = "avro"', "mapping.envelope: 'avro' is not one of none, debezium"),
        ('id = "a"\ntitle = "b"\nimages = [1]', "mapping.images: 1 is not"),
        ('id = "a"\ntitle = "b"\nprice_divisor = 0', "mapping.price_divisor: 0 is not"),
        ('id = "a"\ntitle = "b"\nprice_divisor = nan', "mapping.price_divisor: nan is not"),
        ('id = "a"\ntitle = "b"\nkeep_other_columns = 1', "mapping.keep_other_columns: 1 is"),
        ('id = "a"\ntitle = "b"\nattributes = "all"', "mapping.attributes: 'all' is not a list"),
        ('id = "a"\ntitle = "b"\nattributes = { x = 1 }', "mapping.attributes.x: 1 is not"),
        ("id = ", "The mapping is not TOML"),
    ],
)
def test_a_mapping_that_is_wrong_is_a_sentence_that_names_the_key(text: str, sentence: str):
    with pytest.raises(InvalidInput) as error:
        read_mapping(text)
    assert sentence in str(error.value)


def test_columns_may_be_listed_under_their_own_names():
    mapping = read_mapping('id = "a"\nimages = "photo"\nattributes = ["brand", "color"]')
    assert mapping.attributes == {"brand": "brand", "color": "color"}
    assert mapping.images == ("photo",)


values = st.one_of(
    json_values,
    st.sampled_from(["", "1", "12.5", "nan", "1e999", "[", '["a", null]', "true", "2024-01-01", UNAVAILABLE, 1e300]),
    st.integers(-(10**400), 10**400),
)
rows = st.dictionaries(st.sampled_from([*ROW, "changed", "is_deleted", "op", "id"]), values)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["c", "r", "u", "d", "t", "put"]) | values,
        "before": rows | values,
        "after": rows | values,
        "source": st.dictionaries(st.sampled_from(["lsn", "ts_ms"]), values) | values,
        "payload": rows | values,
    },
)


@settings(max_examples=500)
@given(st.one_of(envelopes, envelopes.map(lambda e: {"payload": e}), rows, events, values))
def test_whatever_comes_is_read_or_refused(value: object):
    raw = json.dumps(value).encode()
    for mapping in (
        ENVELOPE,
        FLAT,
        RecordMapping(id="sku", images=("photo",), envelope="debezium", keep_other_columns=True),
    ):
        config = ParserConfig(mapping=mapping)
        for key in (None, raw[:200]):
            record = Record(key, raw, "products", 0, 0, 1000)
            parsed = parse(record, config)
            assert isinstance(parsed, ParsedEvent | Reject)
            if isinstance(parsed, Reject):
                assert parsed.reason
                parsed.reason.encode()
            product_keys_in(record, config)


@given(st.binary(max_size=40))
def test_whatever_bytes_come_are_read_or_refused(value: bytes):
    assert read(value) is not None
