"""A shop's catalogue and log, read for a training: what is skipped is reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from catalog.errors import InvalidInput
from tests.encoders.conftest import picture, png
from training.data.sources import read_sources
from training.recipe import DataConfig


def shop(folder: Path) -> DataConfig:
    """Twelve products of twelve brands, one with a damaged photo and two with addresses of photos, and their log."""
    events = []
    for i in range(12):
        photo = png(picture("red", side=40 + i))
        (folder / f"{i}.png").write_bytes(photo[: len(photo) // 2] if i == 3 else photo)
        image = f"https://shop.example/{i}.png" if i in (4, 5) else f"{i}.png"
        events.append({"id": str(i), "title": f"Brand{i} mug", "images": [image]})
    (folder / "products.jsonl").write_text("\n".join(map(json.dumps, events)))
    rows = "".join(f"brand{i} mug,{i},2\nmug of brand{i},{i},1\n" for i in range(12))
    log = f"words,sku,sold\n{rows},3,1\nhat,none such,1\n".encode("utf-8-sig") + "café,1,1\n".encode("cp1252")
    (folder / "log.csv").write_bytes(log)
    return DataConfig(
        (str(folder / "products.jsonl"),), (str(folder / "log.csv"),), ("query=words", "weight=sold"), test=0.2
    )


def test_everything_that_is_skipped_is_reported(tmp_path: Path) -> None:
    notes: list[str] = []
    (source,) = read_sources(shop(tmp_path), notes)
    assert notes[:6] == [
        f"{tmp_path / 'products.jsonl'}: 12 products, 9 of them with a photo.",
        "2 are trained on without the photo they name: https: addresses are not fetched, put the files next to "
        "the catalogue and name them; first '4'.",
        notes[2],
        "24 interactions of 24 queries with 12 products.",
        "1 skipped: the query is empty; first log.csv line 26.",
        "1 skipped: the item is not in the catalogue; first log.csv line 27.",
    ]
    assert notes[2].startswith("1 are trained on without the photo they name: the image is damaged")
    assert notes[6] == "1 skipped: not UTF-8 (save the file as UTF-8); first log.csv line 28."
    parts = [len(part.query) for part in (source.train, source.validation, source.test)]
    assert sum(parts) == 24
    assert notes[7] == "{} interactions to train on, {} to validate and {} to test on.".format(*parts)
    assert [example.id for example in source.examples if not example.photo] == ["3", "4", "5"]
    assert len(set(source.train_rows) | set(source.validation_rows) | set(source.test_rows)) == 12


@pytest.mark.parametrize("column", ["words", "price=words", "query="])
def test_a_wrong_column_option_is_refused_in_one_sentence(column: str, tmp_path: Path) -> None:
    data = shop(tmp_path)
    with pytest.raises(InvalidInput, match="FIELD=COLUMN, with a FIELD of query, item, weight"):
        read_sources(DataConfig(data.catalogues, data.logs, (column,)), [])


def test_a_missing_column_is_refused_with_how_to_name_it(tmp_path: Path) -> None:
    data = shop(tmp_path)
    with pytest.raises(InvalidInput, match=r"'words', 'sku', 'sold'; name the right one with --map query=COLUMN"):
        read_sources(DataConfig(data.catalogues, data.logs), [])
