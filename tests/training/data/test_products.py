from __future__ import annotations

import json
from pathlib import Path

import pytest

from catalog.errors import InvalidInput
from training.data.products import Example, read


def example(number: int, title: str, *, photo: bytes = b"", pixels: str = "", **facets: str) -> Example:
    return Example(id=str(number), title=title, photo=photo, facets=facets, pixels=pixels or f"pixels {number}")


def test_events_and_facets_of_their_photos_are_read_from_jsonl(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"photo")
    events = [
        {"id": "a", "title": "Mug", "images": ["images/a.jpg"], "attributes": {"material": "clay", "size": "NA"}},
        {"id": "b", "title": "Hat", "images": ["images/lost.jpg"], "attributes": {"tags": ["sun", "straw"]}},
    ]
    (tmp_path / "products.jsonl").write_text("\n".join(map(json.dumps, events)) + "\n")
    (tmp_path / "seen.jsonl").write_text(
        json.dumps({"id": "a", "colour": "red", "part_colour": "grey", "view": 7}) + "\n"
    )
    mug, hat = read(tmp_path)
    assert (mug.photo, mug.facets) == (b"photo", {"material": "clay", "colour": "red"})
    assert (hat.photo, hat.facets, hat.pixels) == (b"", {"tags": "sun straw"}, "")
    assert read(tmp_path / "products.jsonl") == [mug, hat]


def test_products_are_read_from_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {
        "id": [1, 2],
        "productDisplayName": ["Acme mug", "Acme hat"],
        "baseColour": ["Red", None],
        "usage": ["NA", ""],
        "year": [2011, None],
        "image": [b"x", None],
        "pixel_sha1": ["s", None],
    }
    pq.write_table(pa.table(rows), tmp_path / "shop.parquet")
    mug, hat = read(tmp_path)
    assert mug == Example("1", "Acme mug", b"x", {"baseColour": "Red"}, "s")
    assert hat == Example("2", "Acme hat", b"", {}, "")


def test_a_missing_catalogue_is_refused_with_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="parquet"):
        read(tmp_path / "nothing")


def test_flat_rows_and_embedded_photos_are_read(tmp_path: Path) -> None:
    rows = [
        {
            "sku": 1,
            "name": "Mug",
            "image": "data:image/png;base64,cGhvdG8=",
            "colour": "red",
            "price": 3,
            "box": {"a": 1},
        },
        {"sku": "2", "name": "Hat", "image": {"bytes": None, "path": "a.jpg"}, "colour": None},
        {"op": "delete", "id": "3"},
    ]
    (tmp_path / "a.jpg").write_bytes(b"photo")
    (tmp_path / "shop.jsonl").write_text("\n".join(map(json.dumps, rows)))
    mug, hat = read(tmp_path / "shop.jsonl")
    assert (mug.id, mug.title, mug.photo, mug.facets) == ("1", "Mug", b"photo", {"colour": "red"})
    assert (hat.id, hat.photo, hat.facets, hat.pixels) == ("2", b"photo", {}, mug.pixels)


def test_a_parquet_without_photos_is_a_catalogue(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": ["a"], "title": ["Mug"], "colour": ["red"]}), tmp_path / "shop.parquet")
    assert read(tmp_path / "shop.parquet") == [Example("a", "Mug", b"", {"colour": "red"}, "")]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (b'{"id": "a", "title": "Mug"}\n{"id"', "line 2 is not JSON"),
        (b'{"id": "caf\xe9"}', "line 1 is not JSON in UTF-8"),
        (b"[1]", "line 1 is not a JSON object"),
        (b'{"id": " ", "title": "Mug"}', "has no id"),
        (b'{"title": "Mug"}', "has no id"),
    ],
)
def test_an_unreadable_catalogue_is_refused_with_the_line(tmp_path: Path, lines: bytes, sentence: str) -> None:
    (tmp_path / "shop.jsonl").write_bytes(lines)
    with pytest.raises(InvalidInput, match=sentence):
        read(tmp_path / "shop.jsonl")


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.parquet").write_bytes(b"no")
    with pytest.raises(InvalidInput, match="not parquet"):
        read(tmp_path / "shop.parquet")


def test_an_unreadable_photo_is_reported_and_the_next_is_read(tmp_path: Path) -> None:
    """Training fetches nothing, so a shop whose photos are addresses must be told."""
    (tmp_path / "a b.jpg").write_bytes(b"photo")
    (tmp_path / "empty.jpg").write_bytes(b"")
    images = {
        "address": ["https://shop.example/1.jpg"],
        "lost": ["lost.jpg"],
        "long": ["x" * 5000],
        "damaged": ["data:image/png;base64,nothing!"],
        "empty": "empty.jpg",
        "second": ["lost.jpg", "a b.jpg"],
        "file": [(tmp_path / "a b.jpg").as_uri()],
        "none": [],
    }
    events = [{"id": name, "title": "Mug", "images": value} for name, value in images.items()]
    (tmp_path / "products.jsonl").write_text("\n".join(map(json.dumps, events)))
    products = {product.id: product for product in read(tmp_path)}
    assert {name for name, product in products.items() if product.photo} == {"second", "file"}
    assert {name: product.unread.split()[0] for name, product in products.items() if product.unread} == {
        "address": "https:",
        "lost": "there",
        "long": "there",
        "damaged": "the",
        "empty": "the",
    }
    assert products["empty"].unread == "the file is empty"
