from __future__ import annotations

import base64
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.domain.record import Record
from catalog.errors import InvalidInput
from catalog.events.parser import ParsedEvent, ParserConfig, parse
from streams.publish.columns import ColumnMapping, event_of
from streams.publish.row_values import BadValue

FOLDER = Path("/shop")


def event(row: dict[str, Any], columns: ColumnMapping | None = None) -> dict[str, Any]:
    return event_of(row, columns or ColumnMapping.recognise(row), folder=FOLDER, version=17)


@pytest.mark.parametrize(
    ("names", "id_", "title", "images"),
    [
        (["id", "productDisplayName", "image", "year"], "id", "productDisplayName", ("image",)),
        (["sku", "Product Name", "Image URL"], "sku", "Product Name", ("Image URL",)),
        (["product_id", "title", "image_link", "additional_image_link"], "product_id", "title", None),
        (["name", "id", "title"], "id", "title", ()),
        (["ID", "photo"], "ID", None, ("photo",)),
    ],
)
def test_columns_are_recognised_by_name(
    names: list[str], id_: str, title: str | None, images: tuple[str, ...] | None
) -> None:
    columns = ColumnMapping.recognise(names)
    assert (columns.id, columns.title) == (id_, title)
    assert columns.images == (images if images is not None else ("image_link", "additional_image_link"))


@pytest.mark.parametrize(("names", "missing"), [(["title"], "an id"), (["id", "colour"], "a title or an image")])
def test_columns_that_say_nothing_are_a_sentence(names: list[str], missing: str) -> None:
    with pytest.raises(InvalidInput, match=f"looks like {missing}"):
        ColumnMapping.recognise(names)


@pytest.mark.parametrize(
    ("names", "overrides", "fields"),
    [
        (["sku", "name", "cost"], {"price": "cost"}, {"id": ("sku",), "title": ("name",), "price": ("cost",)}),
        (["code", "name"], {"id": "code"}, {"id": ("code",), "title": ("name",)}),
        (["sku", "name", "label"], {"title": "label"}, {"id": ("sku",), "title": ("label",)}),
        (["id", "name", "title"], {"id": "title"}, {"id": ("title",), "title": ("name",)}),
        (["id", "image", "a", "b"], {"images": ("a", "b")}, {"id": ("id",), "images": ("a", "b")}),
    ],
)
def test_a_given_column_overrides_one_field(
    names: list[str], overrides: dict[str, str | tuple[str, ...]], fields: dict[str, tuple[str, ...]]
) -> None:
    assert ColumnMapping.recognise(names, overrides).fields == fields


def test_a_column_given_for_one_field_serves_no_other() -> None:
    with pytest.raises(InvalidInput, match="looks like a title or an image: add --map title=COLUMN"):
        ColumnMapping.recognise(["id", "name"], {"tenant": "name"})


def test_a_row_of_a_shops_feed() -> None:
    row = {
        "id": 4711,
        "title": " Red shoe ",
        "image_link": "https://cdn/red.jpg",
        "price": "1299.50 SEK",
        "availability": "in_stock",
        "brand": "Acme",
        "sizes": [40, 41],
        "weight": math.nan,
        "note": "",
        "gone": None,
        "since": date(2024, 5, 1),
        "cost": Decimal("3.50"),
        "blob": b"\x00",
        "updated_at": datetime(2024, 5, 1, 12, tzinfo=UTC),
    }
    assert event(row) == {
        "op": "put",
        "id": "4711",
        "version": 1714564800000,
        "title": "Red shoe",
        "images": ["https://cdn/red.jpg"],
        "attributes": {"brand": "Acme", "sizes": [40, 41], "since": "2024-05-01", "cost": 3.5},
        "offer": {"price": 1299.5, "currency": "SEK", "available": True},
    }


def test_image_bytes_become_a_data_url_of_their_kind() -> None:
    for raw, kind in ((b"\xff\xd8\xff...", "jpeg"), (b"\x89PNG...", "png"), (b"RIFF....WEBP", "webp"), (b"??", "jpeg")):
        (url,) = event({"id": 1, "title": "t", "image": raw})["images"]
        head, data = url.split(",")
        assert head == f"data:image/{kind};base64"
        assert base64.b64decode(data) == raw


def test_images_as_paths_lists_and_structs() -> None:
    row = {
        "id": 1,
        "image": {"bytes": None, "path": "a.jpg"},
        "images": ["s3://b/c.jpg", "", None, "/abs/d e.png", "data:image/png;base64,AA=="],
    }
    assert event(row)["images"] == [
        "s3://b/c.jpg",
        "file:///abs/d%20e.png",
        "data:image/png;base64,AA==",
        "file:///shop/a.jpg",
    ]


@pytest.mark.parametrize(
    ("price", "offer", "attributes"),
    [
        (12, {"price": 12.0}, {}),
        (Decimal("9.99"), {"price": 9.99}, {}),
        ("12,50", {"price": 12.5}, {}),
        ("12 EUR", {"price": 12.0, "currency": "EUR"}, {}),
        ("on request", {}, {"price": "on request"}),
        (None, {}, {}),
        (math.nan, {}, {}),
    ],
)
def test_prices(price: object, offer: dict[str, object], attributes: dict[str, object]) -> None:
    said = event({"id": 1, "title": "t", "price": price})
    assert (said["offer"], said["attributes"]) == (offer, attributes)


@pytest.mark.parametrize(
    ("value", "available"),
    [(True, True), (False, False), (3, True), (0, False), ("out of stock", False), ("Yes", True), ("soon", None)],
)
def test_availability(value: object, available: bool | None) -> None:
    said = event({"id": 1, "title": "t", "in_stock": value})
    assert said["offer"].get("available") is available
    assert said["attributes"] == ({"in_stock": "soon"} if available is None else {})


@pytest.mark.parametrize(
    ("value", "version"),
    [(None, 17), (5, 5), (5.0, 5), ("5", 5), ("2024-05-01", 1714521600000), (date(2024, 5, 1), 1714521600000)],
)
def test_versions(value: object, version: int) -> None:
    assert event({"id": 1, "title": "t", "version": value})["version"] == version


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": None, "title": "t"}, "id is empty"),
        ({"id": " ", "title": "t"}, "id is empty"),
        ({"id": 1.5, "title": "t"}, "names no product"),
        ({"id": 1, "title": " "}, "title is empty"),
        ({"id": 1, "title": "t", "version": "yesterday"}, "neither an integer nor a time"),
        ({"id": 1, "title": "t", "version": -3}, "neither an integer nor a time"),
    ],
)
def test_rows_that_cannot_become_an_event_say_why(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadValue, match=reason):
        event(row)


def test_the_mapping_can_be_given() -> None:
    columns = ColumnMapping(id="code", title="label", tenant="shop", leave_out=frozenset({"hash"}))
    said = event({"code": 7, "label": "L", "shop": "a", "hash": "00", "title": "kept"}, columns)
    assert (said["id"], said["title"], said["tenant"], said["attributes"]) == ("7", "L", "a", {"title": "kept"})


scalars = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.booleans(),
    st.binary(max_size=5),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=0, max_value=10**9),
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1)),
    st.lists(st.text(max_size=5), max_size=3),
)


@given(
    st.fixed_dictionaries(
        {"id": st.integers(0, 2**63 - 1), "title": st.text("abc", min_size=1)},
        optional={"price": st.decimals(0, 10**6, places=2), "availability": scalars, "brand": scalars, "size": scalars},
    )
)
def test_every_event_of_a_row_is_accepted_by_the_parser(row: dict[str, Any]) -> None:
    value = json.dumps(event(row), allow_nan=False).encode()
    record = Record(key=b"k", value=value, topic="t", partition=0, offset=0, timestamp=0)
    parsed = parse(record, ParserConfig())
    assert isinstance(parsed, ParsedEvent)
    assert not parsed.dropped
