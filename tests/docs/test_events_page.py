"""docs/events.md: what it shows as an event is one, what it shows as refused is refused, and its tables are whole."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from catalog.domain.change import Delete, Put
from catalog.domain.image_state import ImageState
from catalog.domain.product import Content, Offer, Product, ProductKey
from catalog.domain.record import Record, Reject, Stage
from catalog.domain.space import FUSED, IMAGE, Space
from catalog.domain.state import OFFER_FIELDS
from catalog.events.mapping import RecordMapping
from catalog.events.mapping_file import read_mapping
from catalog.events.parser import CONTRACT_FIELDS, ParsedEvent, ParserConfig, key_bytes, parse, schema
from catalog.ingest.decide import InlinePolicy, decide, write_of
from catalog.ports import EncodedItem
from liveshelf.settings import PREFIX, Settings
from streams.quarantine.topic import HEADER, _headers

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "events.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(?:json|toml) (\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SPACE = Space("model", "1", "1", {FUSED: 2, IMAGE: 2})


def shown(kind: str) -> list[str]:
    return [text for label, text in BLOCKS if label == kind]


def read(text: str, contract: ParserConfig = ParserConfig()) -> ParsedEvent | Reject | None:
    return parse(Record(b"key", text.encode(), "products", 0, 0, 1732245000130), contract)


def test_every_block_is_of_a_kind_that_is_checked():
    assert {label for label, _ in BLOCKS} == {"event", "refused", "payload", "mapping", "mapped"}
    assert PAGE.count("```") == 2 * len(BLOCKS)


@pytest.mark.parametrize("text", shown("event"))
def test_what_is_shown_as_an_event_is_one(text):
    assert isinstance(read(text), ParsedEvent)


@pytest.mark.parametrize("text", shown("refused"))
def test_what_is_shown_as_refused_is_refused(text):
    refused = read(text)
    assert isinstance(refused, Reject)
    assert refused.stage is Stage.SCHEMA


def test_the_mapping_reads_the_envelopes_that_are_shown():
    (text,) = shown("mapping")
    contract = ParserConfig(mapping=read_mapping(text))
    put, delete = (read(envelope, contract) for envelope in shown("mapped"))
    assert isinstance(put, ParsedEvent)
    assert isinstance(delete, ParsedEvent)
    images = ("https://images.example/17-front.jpg", "https://images.example/17-back.jpg")
    assert put.change == Put(
        Product(
            ProductKey("default", "17"),
            Content("Stoneware mug, sea green", images),
            {"brand": "Arbour", "category": "mugs"},
            Offer(12.5, "EUR", True),
        ),
        24023128,
    )
    assert delete.change == Delete(ProductKey("default", "17"), 24023999)


def test_the_reason_of_a_mapping_that_is_shown_is_what_is_said():
    (text,) = shown("mapping")
    refused = read('{"op": "c", "after": {"sku": 1}}', ParserConfig(mapping=read_mapping(text)))
    assert isinstance(refused, Reject)
    assert f"`{refused.reason}`" in PAGE


def test_the_table_of_the_mapping_is_whole():
    rows = re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {field.name for field in fields(RecordMapping)} <= named


def test_the_unknown_field_is_kept_and_the_object_dropped():
    (lamp,) = (text for text in shown("event") if "dimensions" in text)
    parsed = read(lamp)
    assert isinstance(parsed, ParsedEvent)
    assert parsed.change.product.attributes == {"season": "autumn"}
    assert parsed.dropped == ("dimensions",)


def test_the_payload_is_what_the_first_event_leaves():
    parsed = read(shown("event")[0])
    assert isinstance(parsed, ParsedEvent)
    decision = decide(parsed.change.key, [parsed], None, SPACE)
    assert decision.fingerprint is not None
    vectors = {name: np.ones(dim, np.float32) for name, dim in SPACE.vectors.items()}
    made = {decision.fingerprint: EncodedItem(vectors, ImageState.OK, "")}
    payload = dict(write_of(decision, made, now_ms=0).payload)
    internals = {name: payload.pop(name) for name in ("clock", "fingerprint", "revision")}
    assert all(f"`{name}`" in PAGE for name in internals)
    assert payload == json.loads(shown("payload")[0])


def test_the_key_is_the_one_the_code_makes():
    assert f"`{key_bytes(ProductKey('shop-a', 'sku-1')).decode()}`" in PAGE


def test_the_tables_name_every_field_state_stage_and_header():
    fields = {f"offer.{name}" for name in OFFER_FIELDS} | set(CONTRACT_FIELDS) - {"offer"}
    assert set(schema()["properties"]) == set(CONTRACT_FIELDS)
    for name in (*fields, *ImageState, *Stage):
        assert f"| `{name}`" in PAGE
    nothing = Reject(Record(None, None, "products", 0, 0, 0), Stage.PARSE, "why")
    for name, _ in _headers(nothing, at=0):
        assert name.startswith(HEADER)
        assert f"`{name}`" in PAGE


def test_the_variables_and_topics_are_those_of_the_settings():
    named = set(re.findall(rf"{PREFIX}\w+", PAGE))
    assert named
    assert named <= {PREFIX + field.upper() for field in Settings.model_fields}
    for topic in ("live_topic", "backfill_topic", "quarantine_topic"):
        assert f"`{Settings.model_fields[topic].default}`" in PAGE
    assert f"{InlinePolicy().max_chars:,} characters" in PAGE
    assert f"{Settings.model_fields['placeholder_min_titles'].default} different titles" in PAGE
