from __future__ import annotations

import json
from pathlib import Path

import pytest

from catalog.errors import Misuse
from training.data import Example, read


def example(number: int, title: str, *, photo: bytes = b"", pixels: str = "", **facets: str) -> Example:
    return Example(id=str(number), title=title, photo=photo, facets=facets, pixels=pixels or f"pixels {number}")


def test_events_and_what_their_photos_show_are_read_from_jsonl(tmp_path: Path) -> None:
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


def test_no_catalogue_is_told_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="parquet"):
        read(tmp_path / "nothing")
