from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from catalog.errors import InvalidInput
from streams.publish.catalogue_files import BadRow, Catalogue, CatalogueRow
from streams.publish.columns import ColumnMapping


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def table(path: Path, rows: int, start: int = 0) -> Path:
    ids = list(range(start, start + rows))
    columns = {"id": ids, "title": [f"t{i}" for i in ids], "image": [b"\xff\xd8\xff%d" % i for i in ids]}
    parquet.write_table(pa.table(columns), path, row_group_size=100)
    return path


def read(catalogue: Catalogue) -> tuple[list[CatalogueRow], list[BadRow]]:
    rows = list(catalogue)
    return [r for r in rows if isinstance(r, CatalogueRow)], [r for r in rows if isinstance(r, BadRow)]


def test_csv_files_beside_other_kinds_are_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "products.jsonl").write_text('{"id": "1", "title": "mug"}\n')
    (tmp_path / "judgements.csv").write_text("query,item\nmug,1\n")
    catalogue = Catalogue(tmp_path, version=1)
    assert list(catalogue.files) == [tmp_path / "products.jsonl"]
    assert catalogue.left_out == [tmp_path / "judgements.csv"]
    (tmp_path / "products.jsonl").unlink()
    assert list(Catalogue(tmp_path, version=1).files) == [tmp_path / "judgements.csv"]


def test_a_folder_of_parquet_files_is_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    table(tmp_path / "b.parquet", 300, start=700)
    table(tmp_path / "a.parquet", 700)
    (tmp_path / "README.md").write_text("not data")
    catalogue = Catalogue(tmp_path, version=9)
    rows, bad = read(catalogue)
    assert catalogue.total == 1000
    assert [row.event["id"] for row in rows] == [str(i) for i in range(1000)]
    assert {row.event["version"] for row in rows} == {9}
    assert (rows[700].file.name, rows[700].row) == ("b.parquet", 1)
    assert not bad


def test_rows_that_become_no_event_are_named_and_not_dropped(tmp_path: Path) -> None:
    columns = {"sku": ["a", None, "c"], "name": ["A", "B", None]}
    parquet.write_table(pa.table(columns), tmp_path / "x.parquet")
    rows, bad = read(Catalogue(tmp_path / "x.parquet", version=1))
    assert [row.event["id"] for row in rows] == ["a"]
    assert [(b.file.name, b.row, b.reason) for b in bad] == [
        ("x.parquet", 2, "sku is empty"),
        ("x.parquet", 3, "name is empty, and there is no image to be found by"),
    ]


def test_events_in_json_lines_keep_their_fields_and_get_a_version(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "e.jsonl",
        {"op": "put", "id": "1", "title": "t", "images": ["a/b.jpg", "https://x/c.jpg"]},
        "",
        {"op": "delete", "id": "2", "version": 5, "title": None},
        {"op": "patch", "id": 3, "offer": {"price": 2}},
    )
    catalogue = Catalogue(path, version=9)
    rows, bad = read(catalogue)
    assert catalogue.total == 3
    assert [row.event for row in rows] == [
        {
            "op": "put",
            "id": "1",
            "version": 9,
            "title": "t",
            "images": [(tmp_path / "a/b.jpg").as_uri(), "https://x/c.jpg"],
        },
        {"op": "delete", "id": "2", "version": 5},
        {"op": "patch", "id": 3, "version": 9, "offer": {"price": 2}},
    ]
    assert [row.row for row in rows] == [1, 3, 4]
    assert not bad


def test_flat_rows_in_json_lines_are_mapped(tmp_path: Path) -> None:
    path = lines(tmp_path / "f.ndjson", {"sku": 1, "name": "n", "image": "a.jpg", "price": 3, "colour": "red"})
    (row,), _ = read(Catalogue(path, version=9))
    assert row.event["title"] == "n"
    assert row.event["offer"] == {"price": 3.0}
    assert row.event["attributes"] == {"colour": "red"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [("{", "not JSON"), ("[1]", "not a JSON object"), ('{"op": "put"}', "id is missing"), ('{"a": 1}', "an id")],
)
def test_bad_lines_are_named(tmp_path: Path, line: str, reason: str) -> None:
    _, (bad,) = read(Catalogue(lines(tmp_path / "x.jsonl", line), version=1))
    assert bad.row == 1
    assert reason in bad.reason


def test_the_mapping_can_be_given(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", {"code": 1, "op": "press", "label": "L"})
    (row,), _ = read(Catalogue(path, version=1, columns=ColumnMapping(id="code", title="label")))
    assert (row.event["id"], row.event["title"], row.event["attributes"]) == ("1", "L", {"op": "press"})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("f.csv", "sku,name,image,price,stock,colour\n4711,Cup,a.jpg,43.67 EUR,,red\n"),
        ("f.TSV", "sku\tname\timage\tprice\tstock\tcolour\n4711\tCup\ta.jpg\t43.67 EUR\t\tred\n"),
    ],
)
def test_a_feed_of_separated_values(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    catalogue = Catalogue(tmp_path, version=9)
    (row,), bad = read(catalogue)
    assert catalogue.total == 1
    assert row.event == {
        "op": "put",
        "id": "4711",
        "version": 9,
        "title": "Cup",
        "images": [(tmp_path / "a.jpg").as_uri()],
        "attributes": {"colour": "red"},
        "offer": {"price": 43.67, "currency": "EUR"},
    }
    assert not bad


def test_a_row_with_too_few_columns_is_bad_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text('id,title\n1,"a\nb"\n2\n3,c\n')
    rows, bad = read(Catalogue(tmp_path / "f.csv", version=9))
    assert [row.event["id"] for row in rows] == ["1", "3"]
    assert [(b.row, b.reason) for b in bad] == [(4, "it has 1 columns, and the header has 2")]


@pytest.mark.parametrize("name", ["f.csv", "f.jsonl"])
def test_a_column_that_is_given_leaves_the_others_found_by_name(tmp_path: Path, name: str) -> None:
    row = {"sku": "1", "name": "n", "price": "3 EUR", "sale_price": "2 EUR", "colour": "red"}
    lines(tmp_path / "f.jsonl", row)
    (tmp_path / "f.csv").write_text("\n".join([",".join(row), ",".join(row.values())]))
    (found,), _ = read(Catalogue(tmp_path / name, version=9, overrides={"price": "sale_price"}))
    assert (found.event["id"], found.event["title"]) == ("1", "n")
    assert found.event["offer"] == {"price": 2.0, "currency": "EUR"}
    assert found.event["attributes"] == {"price": "3 EUR", "colour": "red"}


def test_a_given_column_that_a_table_lacks_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("id,title\n1,a\n")
    with pytest.raises(InvalidInput, match=r"--map: .*f\.csv has no column cost; it has id, title"):
        list(Catalogue(tmp_path, version=9, overrides={"price": "cost"}))


def test_a_table_without_an_id_says_what_to_add(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"title": ["a"]}), tmp_path / "noid.parquet")
    with pytest.raises(InvalidInput, match=r"looks like an id: add --map id=COLUMN\.$"):
        list(Catalogue(tmp_path, version=9))


def test_a_path_with_nothing_to_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("id,title\n")
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    with pytest.raises(InvalidInput, match="There is no file or folder"):
        Catalogue(tmp_path / "nowhere", version=1)
    with pytest.raises(InvalidInput, match=r"neither \.parquet nor"):
        Catalogue(tmp_path / "x.txt", version=1)
    with pytest.raises(InvalidInput, match="is not a parquet file"):
        list(Catalogue(tmp_path / "broken.parquet", version=1))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match=r"There is no \.parquet"):
        Catalogue(tmp_path / "empty", version=1)
