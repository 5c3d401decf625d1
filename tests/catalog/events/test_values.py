"""Prices, versions and availability, read alike from a catalogue file and through a mapping."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.domain.change import Put
from catalog.domain.record import Record, Reject
from catalog.events.mapping import RecordMapping
from catalog.events.parser import ParsedEvent, ParserConfig, parse
from catalog.events.values import Price, read_availability, read_flag, read_price, read_version
from streams.publish.columns import ColumnMapping, event_of

MAPPING = RecordMapping(
    id="id", title="title", price="price", available="available", version="row.version", version_is="time"
)


@pytest.mark.parametrize(
    ("value", "price"),
    [
        (12, Price(12.0)),
        (Decimal("9.99"), Price(9.99)),
        ("12.50", Price(12.5)),
        (" 12.5000 ", Price(12.5)),
        ("12,5", Price(12.5)),
        ("43.67 EUR", Price(43.67, "EUR")),
        ("12EUR", Price(12.0, "EUR")),
        ("-5", Price(-5.0)),
        *((value, None) for value in ("1,299", "EUR", "12 eur", "1e3", "", "DIc=", "1" * 31)),
        *((value, None) for value in (True, None, [1], math.nan, math.inf, 10**400, Decimal("1e400"), Decimal("NaN"))),
    ],
)
def test_prices(value: object, price: Price | None) -> None:
    assert read_price(value) == price


@pytest.mark.parametrize(
    ("value", "version"),
    [
        (5, 5),
        (5.0, 5),
        (Decimal(5), 5),
        (" 5 ", 5),
        ("2024-11-22T03:10:00.1239Z", 1732245000123),
        ("2024-11-22T04:10:00.123+01:00", 1732245000123),
        (date(2024, 5, 1), 1714521600000),
        (datetime(2024, 5, 1, 12, tzinfo=UTC), 1714564800000),
        *((value, None) for value in (-3, "-3", 1.5, True, None, "yesterday", math.nan, math.inf, [])),
    ],
)
def test_versions(value: object, version: int | None) -> None:
    assert read_version(value) == version


def test_a_counter_is_no_time() -> None:
    assert read_version("7", times=False) == 7
    assert read_version("2024-11-22", times=False) is None
    assert read_version(date(2024, 5, 1), times=False) is None


@pytest.mark.parametrize(
    ("value", "flag", "available"),
    [
        (True, True, True),
        (0, False, False),
        ("4.0000", True, True),
        ("0.0000", False, False),
        (" F ", False, False),
        ("in_stock", None, True),
        ("Out of stock", None, False),
        ("preorder", None, True),
        ("soon", None, None),
        (math.nan, None, None),
        (None, None, None),
    ],
)
def test_flags_and_availability(value: object, flag: bool | None, available: bool | None) -> None:
    assert (read_flag(value), read_availability(value)) == (flag, available)


def of_file(row: dict[str, Any]) -> ParsedEvent | Reject | None:
    event = event_of(row, ColumnMapping.recognise(row), folder=Path("/shop"), version=17)
    return parse(Record(None, json.dumps(event).encode(), "products", 0, 0, 1000), ParserConfig())


def of_mapping(row: dict[str, Any]) -> ParsedEvent | Reject | None:
    record = Record(None, json.dumps(row).encode(), "products", 0, 0, 1000)
    return parse(record, ParserConfig(mapping=MAPPING))


@pytest.mark.parametrize("price", [12.5, "12.5", "12,50", "12.50 EUR", "12EUR", 0, "0"])
@pytest.mark.parametrize("available", [True, 3, "3", "0.00", "in stock", "in_stock", "sold out", "no", "Y"])
@pytest.mark.parametrize("version", [7, "7", 7.0, "2024-11-22T03:10:00.123Z", "2024-11-22"])
def test_a_file_and_a_mapping_read_a_row_alike(price: object, available: object, version: object) -> None:
    row = {"id": "a", "title": "t", "price": price, "available": available, "version": version}
    of_one, of_other = of_file(row), of_mapping(row)
    assert isinstance(of_one, ParsedEvent)
    assert isinstance(of_other, ParsedEvent)
    assert of_one.change == of_other.change


@pytest.mark.parametrize(("price", "reason"), [("on request", "mapping.price: price is"), (-5, "offer.price: -5")])
def test_a_mapping_refuses_a_price_that_cannot_be_read(price: object, reason: str) -> None:
    refused = of_mapping({"id": "a", "title": "t", "price": price, "version": 1})
    assert isinstance(refused, Reject)
    assert reason in refused.reason


def test_the_currency_column_wins_over_the_text_of_the_price() -> None:
    mapping = RecordMapping(id="id", title="title", price="price", price_divisor=100, currency="currency")
    for currency, expected in ((None, "EUR"), ("USD", "USD")):
        row = {"id": "a", "title": "t", "price": "1250 EUR", "currency": currency}
        parsed = parse(Record(None, json.dumps(row).encode(), "products", 0, 0, 1000), ParserConfig(mapping=mapping))
        assert isinstance(parsed, ParsedEvent)
        assert isinstance(parsed.change, Put)
        assert (parsed.change.product.offer.price, parsed.change.product.offer.currency) == (12.5, expected)


@pytest.mark.parametrize("status", ["in stock", "available"])
def test_a_word_for_stock_does_not_delete(status: str) -> None:
    refused = parse(
        Record(None, json.dumps({"id": "a", "title": "t", "status": status}).encode(), "products", 0, 0, 1000),
        ParserConfig(mapping=RecordMapping(id="id", title="title", deleted="status")),
    )
    assert isinstance(refused, Reject)
    assert "mapping.deleted: status is" in refused.reason


times = st.dates() | st.datetimes() | st.datetimes(timezones=st.timezones())
numbers = st.integers() | st.floats() | st.decimals(allow_nan=True)


@given(st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=20), times, st.lists(st.integers(), max_size=2)))
def test_whatever_comes_is_read_or_none(value: object) -> None:
    price, version = read_price(value), read_version(value)
    assert price is None or math.isfinite(price.amount)
    assert version is None or isinstance(version, int)
    assert read_flag(value) in (True, False, None)
    assert read_availability(value) in (True, False, None)
