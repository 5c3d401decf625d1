"""CSV, TSV and compressed files as rows, and what of them is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import InvalidInput
from streams.publish import separated_values
from streams.publish.file_formats import format_of
from streams.publish.raw_rows import RawRow


def rows(path: Path, content: str | bytes) -> list[RawRow]:
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(raw, mtime=0) if path.name.lower().endswith(".gz") else raw)
    kind = format_of(path)
    assert kind is not None
    result = list(kind.rows(path))
    assert kind.count(path) == len(result)
    return result


def values(path: Path, content: str | bytes) -> list[dict[str, Any] | None]:
    return [row.values for row in rows(path, content)]


@pytest.mark.parametrize("name", ["feed.csv", "FEED.CSV", "feed.csv.gz", "Feed.Csv.GZ"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_csv_feed(tmp_path: Path, name: str, bom: bytes, newline: str) -> None:
    text = newline.join(["id,title,price", '1,"Cup, ""blue""","12,50 EUR"', "", "2,Täller,"])
    assert rows(tmp_path / name, bom + text.encode()) == [
        RawRow(2, {"id": "1", "title": 'Cup, "blue"', "price": "12,50 EUR"}),
        RawRow(4, {"id": "2", "title": "Täller"}),
    ]


@pytest.mark.parametrize("name", ["feed.tsv", "feed.TSV.gz"])
def test_a_tsv_feed(tmp_path: Path, name: str) -> None:
    assert values(tmp_path / name, "id\ttitle\n1\tCup, blue\n") == [{"id": "1", "title": "Cup, blue"}]


@pytest.mark.parametrize("name", ["f.JSONL", "f.jsonl.gz", "f.ndjson.gz", "f.NDJSON.GZ"])
def test_json_lines_compressed_or_in_upper_case(tmp_path: Path, name: str) -> None:
    assert rows(tmp_path / name, '{"id": 1}\n\n{"id": 2}\n') == [RawRow(1, {"id": 1}), RawRow(3, {"id": 2})]


def test_quoted_newlines_belong_to_one_row_and_rows_are_named_by_their_first_line(tmp_path: Path) -> None:
    assert rows(tmp_path / "x.csv", 'id,title\n1,"two\nlines"\n2,b\n') == [
        RawRow(2, {"id": "1", "title": "two\nlines"}),
        RawRow(4, {"id": "2", "title": "b"}),
    ]


def test_bad_records_are_named_with_their_line_and_the_others_are_read(tmp_path: Path) -> None:
    content = b'id,title\n1\n2,a,b\n"3"x,c\n4,\xff\n5,ok\n6,"open\n'
    assert rows(tmp_path / "x.csv", content) == [
        RawRow(2, reason="it has 1 columns, and the header has 2"),
        RawRow(3, reason="it has 3 columns, and the header has 2"),
        RawRow(4, reason="not CSV: ',' expected after '\"'"),
        RawRow(5, reason="not UTF-8"),
        RawRow(6, {"id": "5", "title": "ok"}),
        RawRow(7, reason="not CSV: unexpected end of data"),
    ]


def test_a_field_has_a_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separated_values, "FIELD_CHARS", 200_000)
    long = "x" * 200_000
    found = rows(tmp_path / "x.csv", f"id,title\n1,{long}\n2,{long}x\n3,ok\n")
    assert [row.values and row.values["id"] for row in found] == ["1", None, "3"]
    assert found[1].reason == "not CSV: field larger than field limit (200000)"


def test_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    assert values(tmp_path / "x.csv", ",id, title\n0,a,b\n") == [{"id": "a", "title": "b"}]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.csv", b"", "The header of .* cannot be read: there is none"),
        ("x.csv", b"\xff\n", "The header of .* cannot be read: not UTF-8"),
        ("x.csv", b"id,price,price\n", "has two columns named price"),
        ("x.csv", b"id;title\n1;a\n", "are separated by semicolons"),
        ("x.jsonl", b'[\n{"id": 1}\n]\n', "holds one JSON array"),
        ("x.csv.gz", b"id,title\n", "is not a complete gzip file"),
        ("x.jsonl.gz", gzip.compress(b'{"id": 1}\n' * 1000, mtime=0)[:-9], "is not a complete gzip file"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    kind = format_of(tmp_path / name)
    assert kind is not None
    with pytest.raises(InvalidInput, match=sentence):
        list(kind.rows(tmp_path / name))


@pytest.mark.parametrize("name", ["x.txt", "x.csv.zip", "x.parquet.gz", "csv", "x.gz"])
def test_other_endings_are_not_read(name: str) -> None:
    assert format_of(Path(name)) is None
