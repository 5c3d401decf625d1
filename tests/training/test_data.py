from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import Misuse
from training.data import Example, components, read, split


def example(number: int, title: str, *, photo: bytes = b"", pixels: str = "", **facets: str) -> Example:
    return Example(id=str(number), title=title, photo=photo, facets=facets, pixels=pixels or f"pixels {number}")


def test_products_that_share_a_brand_a_title_or_a_photo_stay_together() -> None:
    found = components(
        [
            example(0, "Acme red mug"),
            example(1, "ACME blue mug"),
            example(2, "Borg hat", pixels="same"),
            example(3, "Cyan hat", pixels="same"),
            example(4, "Hat", brand="Dune"),
            example(5, "Hat", brand="Ember"),
            example(6, "Fern hat"),
        ]
    )
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert found[4] == found[5]
    assert len(set(found)) == 4


def test_no_brand_and_no_photo_are_shared_by_nobody() -> None:
    assert len(set(components([example(0, ""), Example("1", "", b"", {}, ""), Example("2", "", b"", {}, "")]))) == 3


def test_what_is_held_back_shares_nothing_with_what_is_trained_on() -> None:
    draw = np.random.default_rng(3)
    shop = [
        example(i, f"brand{draw.integers(40)} thing {draw.integers(300)}", pixels=f"p{draw.integers(900)}")
        for i in range(300)
    ]
    kept, held = split(shop, share=0.2, seed=1)
    assert sorted([*kept, *held]) == list(range(300))
    assert 60 <= len(held) < 300
    for mark in (lambda e: e.brand, lambda e: e.title, lambda e: e.pixels):
        assert not {mark(shop[i]) for i in kept} & {mark(shop[i]) for i in held}
    again = split(shop, share=0.2, seed=1)
    assert np.array_equal(again[1], held)
    assert not np.array_equal(split(shop, share=0.2, seed=2)[1], held)


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
