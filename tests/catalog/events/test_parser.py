from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.domain.change import Delete, Patch, Put
from catalog.domain.product import Content, Offer, ProductKey
from catalog.domain.record import Record, Reject, Stage
from catalog.events.mapping import RecordMapping
from catalog.events.parser import ParsedEvent, ParserConfig, key_bytes, parse, parse_key, schema
from tests.catalog.strategies import events

CONFIG = ParserConfig(tenant="shop")
VALIDATOR = jsonschema.Draft202012Validator(schema())


def record(value: bytes | None, key: bytes | None = b"sku-1", timestamp: int = 1000) -> Record:
    return Record(key, value, "products", 0, 7, timestamp)


def change_of(event: object) -> object:
    parsed = parse(record(json.dumps(event).encode()), CONFIG)
    assert isinstance(parsed, ParsedEvent), parsed
    return parsed.change


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema())


def test_a_put_carries_the_product():
    put = change_of(
        {
            "id": "sku-1",
            "tenant": "other",
            "version": 12,
            "title": " Linden mug ",
            "images": ["http://a/1.jpg"],
            "attributes": {"brand": "Arbour", "sizes": ["S", "M"], "gone": None},
            "offer": {"price": 12, "currency": "EUR", "available": True},
            "season": "autumn",
        }
    )
    assert isinstance(put, Put)
    assert put.key == ProductKey("other", "sku-1")
    assert put.version == 12
    assert put.product.content == Content("Linden mug", ("http://a/1.jpg",))
    assert put.product.attributes == {"brand": "Arbour", "sizes": ("S", "M"), "season": "autumn"}
    assert put.product.offer == Offer(12.0, "EUR", True)


def test_a_patch_carries_only_what_it_names():
    patch = change_of({"op": "patch", "id": 5, "attributes": {"color": None}, "offer": {"price": 3}})
    assert patch == Patch(ProductKey("shop", "5"), 1000, {"price": 3.0, "attributes.color": None})


def test_without_a_version_the_records_timestamp_serves():
    assert change_of({"op": "delete", "id": "a"}) == Delete(ProductKey("shop", "a"), 1000)


def test_a_kafka_tombstone_deletes_what_its_key_names():
    key = ProductKey("other", "a/b")
    parsed = parse(record(None, key_bytes(key), timestamp=5), CONFIG)
    assert isinstance(parsed, ParsedEvent)
    assert parsed.change == Delete(key, 5)


def test_what_cannot_be_kept_is_named():
    parsed = parse(record(b'{"id": "a", "title": "t", "nested": {"x": 1}, "offer": {"was": 3}}'), CONFIG)
    assert isinstance(parsed, ParsedEvent)
    assert parsed.dropped == ("nested", "offer.was")


@pytest.mark.parametrize(
    ("value", "stage", "reason"),
    [
        pytest.param(b"", Stage.PARSE, "not JSON", id="empty"),
        pytest.param(b"{", Stage.PARSE, "not JSON", id="cut short"),
        pytest.param(b"\xff{}", Stage.PARSE, "not UTF-8: byte 0 is 0xff", id="not utf-8"),
        pytest.param(b'{"id": NaN}', Stage.PARSE, "NaN is not JSON", id="NaN"),
        pytest.param(b'{"id": "\\ud800"}', Stage.PARSE, "half a character", id="half a surrogate pair"),
        pytest.param(b"[" * 100_000, Stage.PARSE, "not JSON", id="deep"),
        pytest.param(b'{"id": ' + b"9" * 5000 + b"}", Stage.PARSE, "not JSON", id="an integer of 5000 digits"),
        pytest.param(b"[]", Stage.SCHEMA, "an event is a JSON object, not a list", id="a list"),
        pytest.param(b"{}", Stage.SCHEMA, "id: missing", id="no id"),
        pytest.param(b'{"id": ""}', Stage.SCHEMA, 'id: "" is not a string of 1', id="empty id"),
        pytest.param(b'{"id": true}', Stage.SCHEMA, "id: true", id="boolean id"),
        pytest.param(b'{"id": "a", "op": "upsert"}', Stage.SCHEMA, "not one of put, patch, delete", id="unknown op"),
        pytest.param(b'{"id": "a", "op": ["put"]}', Stage.SCHEMA, "not one of put, patch, delete", id="op a list"),
        pytest.param(b'{"id": "a", "version": -1}', Stage.SCHEMA, "version: -1", id="negative version"),
        pytest.param(b'{"id": "a", "version": "7"}', Stage.SCHEMA, 'version: "7"', id="version in quotes"),
        pytest.param(b'{"id": "a"}', Stage.SCHEMA, "a put needs a title", id="nothing to find it by"),
        pytest.param(b'{"id": "a", "title": " "}', Stage.SCHEMA, "a put needs a title", id="blank title"),
        pytest.param(b'{"id": "a", "title": 5}', Stage.SCHEMA, "title: 5", id="title a number"),
        pytest.param(b'{"id": "a", "images": "x"}', Stage.SCHEMA, 'images: "x"', id="images a string"),
        pytest.param(b'{"id": "a", "images": [""]}', Stage.SCHEMA, "images: entry 0", id="empty url"),
        pytest.param(b'{"id": "a", "title": "t", "offer": {"price": -1}}', Stage.SCHEMA, "offer.price", id="price"),
        pytest.param(b'{"id": "a", "title": "t", "offer": {"price": 1e999}}', Stage.SCHEMA, "offer.price", id="inf"),
        pytest.param(b'{"id": "a", "op": "patch", "title": "t"}', Stage.SCHEMA, "send a put", id="patch of a title"),
    ],
)
def test_bad_bytes_are_refused_with_a_sentence(value: bytes, stage: Stage, reason: str):
    refused = parse(record(value), CONFIG)
    assert isinstance(refused, Reject)
    assert refused.stage == stage
    assert reason in refused.reason


@pytest.mark.parametrize("key", [None, b"", b"\xff"])
def test_a_tombstone_without_a_readable_key_is_refused(key: bytes | None):
    refused = parse(record(None, key), CONFIG)
    assert isinstance(refused, Reject)
    assert refused.stage == Stage.PARSE


def test_a_record_without_version_and_timestamp_is_refused():
    refused = parse(record(b'{"id": "a", "title": "t"}', timestamp=-1), CONFIG)
    assert isinstance(refused, Reject)
    assert "no timestamp" in refused.reason


def no_json_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@settings(max_examples=600)
@given(events)
def test_the_parser_accepts_exactly_what_the_schema_accepts(event: dict[str, object]):
    text = json.dumps(event)
    parsed = parse(record(text.encode()), CONFIG)
    try:
        errors = [e.message for e in VALIDATOR.iter_errors(json.loads(text, parse_constant=no_json_constant))]
    except ValueError as not_json:  # Python writes infinity, which JSON does not have
        errors = [str(not_json)]
    assert isinstance(parsed, ParsedEvent) == (not errors), (parsed, errors)


@given(st.binary(max_size=40))
def test_no_bytes_raise(value: bytes):
    parse(record(value, key=value), CONFIG)


@given(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8))
def test_a_key_survives_its_bytes(tenant: str, id: str):
    key = ProductKey(tenant, id)
    assert parse_key(key_bytes(key), CONFIG) == key


@pytest.mark.parametrize(("raw", "id"), [(b"sku-1", "sku-1"), (b'"sku-1"', "sku-1"), (b"12", "12"), (b"[1]", "[1]")])
def test_a_plain_key_is_an_id_of_the_settings_tenant(raw: bytes, id: str):
    assert parse_key(raw, CONFIG) == ProductKey("shop", id)


NOW = 1_732_245_000_000
HOUR = 3_600_000


def read_at(event: object, *, timestamp: int = NOW, now_ms: int | None = NOW, **config: object) -> object:
    value = None if event is None else json.dumps(event).encode()
    return parse(record(value, timestamp=timestamp), ParserConfig(**config), now_ms=now_ms)  # type: ignore[arg-type]


@pytest.mark.parametrize("event", [None, {"id": "a", "title": "t"}, {"op": "delete", "id": "a", "version": None}])
def test_a_timestamp_far_ahead_is_refused_where_it_stands_for_the_version(event: object):
    assert isinstance(read_at(event, timestamp=NOW + 24 * HOUR), ParsedEvent)
    refused = read_at(event, timestamp=NOW + 30 * HOUR)
    assert isinstance(refused, Reject)
    assert refused.stage is Stage.SCHEMA
    assert f"version: the record's timestamp, {NOW + 30 * HOUR}, stands for it and is 30 h ahead" in refused.reason
    assert "24 h are allowed" in refused.reason
    assert "LIVESHELF_MAX_VERSION_SKEW_SECONDS" in refused.reason


@pytest.mark.parametrize(
    ("version", "accepted"),
    [(0, True), (10**12, True), (NOW + 24 * HOUR, True), (NOW + 24 * HOUR + 1, False), (2**63 - 1, False)],
)
def test_a_version_that_is_a_time_far_ahead_is_refused(version: int, accepted: bool):
    event = {"id": "a", "title": "t", "version": version}
    # The record's own timestamp does not matter where the event has a version.
    assert isinstance(read_at(event, timestamp=NOW + 999 * HOUR), ParsedEvent) is accepted
    assert isinstance(read_at(event, max_skew_ms=None), ParsedEvent)
    assert isinstance(read_at(event, now_ms=None), ParsedEvent)


def test_a_small_version_is_a_counter_even_where_nothing_may_be_ahead():
    assert isinstance(read_at({"id": "a", "title": "t", "version": 10**12}, now_ms=0, max_skew_ms=1), ParsedEvent)


def test_a_mapping_with_a_counter_is_not_compared_with_the_time():
    row = {"sku": "a", "name": "t", "lsn": 10**15}
    counter, time = (
        RecordMapping(id="sku", title="name", version="lsn", version_is=version_is)
        for version_is in ("counter", "time")
    )
    assert isinstance(read_at(row, mapping=counter), ParsedEvent)
    assert isinstance(read_at(row, mapping=time), Reject)
    undated = RecordMapping(id="sku", title="name")
    assert isinstance(read_at(row, mapping=undated, timestamp=NOW + 30 * HOUR), Reject)
