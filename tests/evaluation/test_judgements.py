from __future__ import annotations

import json
from pathlib import Path

import pytest

from catalog.errors import InvalidInput
from evaluation.judgements import Judgements, read_judgements

IDS = ("a", "b", "7")


def write(folder: Path, name: str, text: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def as_dicts(judged: Judgements) -> dict[str, dict[str, float]]:
    rows = zip(judged.pairs.query, judged.pairs.item, judged.grade.tolist(), strict=True)
    grades: dict[str, dict[str, float]] = {}
    for query, item, grade in rows:
        grades.setdefault(judged.queries[query], {})[IDS[item]] = grade
    return grades


EXPECTED = {"red mug": {"a": 2.0, "b": 1.0}, "hat": {"7": 1.0}}


@pytest.mark.parametrize("kind", ["qrels", "csv", "jsonl", "ids"])
def test_the_same_judgements_are_read_from_every_kind_of_file(tmp_path: Path, kind: str) -> None:
    texts = None
    if kind == "qrels":
        file = write(tmp_path, "test.qrels", "1 0 b 1\n\n2\t0\t7\t1\n1 0 a 2\n2 0 a 0\n")
        texts = write(tmp_path, "queries.tsv", "qid\ttext\n1\tred mug\n2\that\n")
    elif kind == "csv":
        file = write(tmp_path, "test.csv", "query,product_id,relevance\nred mug,a,2\nred mug,b,1\nhat,7,1\nhat,a,0\n")
    elif kind == "ids":
        file = write(tmp_path, "test.csv", "qid,sku,rating\n1,a,2\n1,b,1\n2,7,1\n")
        texts = write(tmp_path, "queries.jsonl", '{"id": 1, "query": "red mug"}\n{"id": 2, "query": "hat"}\n')
    else:
        rows = [("red mug", "a", 2), ("red mug", "b", 1), ("hat", 7, None)]
        lines = [json.dumps({"query": q, "item": i, "grade": g}) for q, i, g in rows]
        file = write(tmp_path, "test.jsonl", "\n".join(lines))
    judged = read_judgements(file, IDS, texts=texts)
    assert as_dicts(judged) == EXPECTED
    assert not judged.skipped.counts


def test_groups_and_left_out_items_are_read_with_the_queries(tmp_path: Path) -> None:
    lines = [
        {"id": "1", "query": "red mug", "groups": ["head", "visible_only"], "left_out": ["7", "gone"]},
        {"id": "2", "query": "hat", "groups": "head;  odd one"},
    ]
    texts = write(tmp_path, "queries.jsonl", "\n".join(map(json.dumps, lines)))
    judged = read_judgements(write(tmp_path, "q.qrels", "1 0 a 1\n2 0 7 1\n"), IDS, texts=texts)
    assert {name: mask.tolist() for name, mask in judged.groups.items()} == {
        "head": [True, True],
        "odd one": [False, True],
        "visible_only": [True, False],
    }
    assert judged.left_out.of(0).tolist() == [2]
    assert judged.left_out.of(1).tolist() == []


def test_a_table_may_have_a_column_of_groups(tmp_path: Path) -> None:
    judged = read_judgements(write(tmp_path, "q.csv", "query,item,groups\nmug,a,head;x\n"), IDS)
    assert set(judged.groups) == {"head", "x"}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("mug,z,1", "the item is not in the catalogue"),
        (",a,1", "the query is empty"),
        ("mug,a,nan", "the grade is not a number"),
        ("mug,a,good", "the grade is not a number"),
        ("mug,a", "more or fewer cells than the header has"),
        ("hat,7,1", "the query's item is judged twice, the higher grade counts"),
    ],
)
def test_a_bad_row_is_counted_and_affects_no_other(tmp_path: Path, row: str, reason: str) -> None:
    judged = read_judgements(write(tmp_path, "q.csv", f"query,item,grade\nhat,7,2\n{row}\n"), IDS)
    assert as_dicts(judged) == {"hat": {"7": 2.0}}
    assert dict(judged.skipped.counts) == {reason: 1}


def test_bad_lines_of_qrels_and_of_their_texts_are_counted(tmp_path: Path) -> None:
    lines = b"1 0 a 1\n1 0 a\n3 0 a 1\n1 0 z 1\n2 0 b 0\n\xff 0 a 1\n"
    texts = write(tmp_path, "t.tsv", "id\tquery\n1\tmug\n1\tcup\n2\that\n4\t \n")
    judged = read_judgements(write(tmp_path, "q.qrels", lines), IDS, texts=texts)
    assert as_dicts(judged) == {"mug": {"a": 1.0}}
    assert dict(judged.skipped.counts) == {
        "the query's text or id is empty, or its id is there twice": 2,
        "not the four fields of a line of qrels": 1,
        "no text is given for the query": 1,
        "the item is not in the catalogue": 1,
        "not UTF-8 (save the file as UTF-8)": 1,
        "the query has no relevant item in the catalogue": 1,
    }


def test_unusable_judgements_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="give a file with their texts"):
        read_judgements(write(tmp_path, "q.qrels", "1 0 a 1\n"), IDS)
    with pytest.raises(InvalidInput, match="lacks a column of the item"):
        read_judgements(write(tmp_path, "q.csv", "query,what\nmug,a\n"), IDS)
    with pytest.raises(InvalidInput, match="lacks a column of the query"):
        read_judgements(write(tmp_path, "q.csv", "qid,item\n1,a\n"), IDS)
    with pytest.raises(InvalidInput, match=r"judges no product.*2 skipped"):
        read_judgements(write(tmp_path, "q.csv", "query,item\nmug,z\nhat,y\n"), IDS)
    with pytest.raises(InvalidInput, match="no file"):
        read_judgements(tmp_path / "lost.qrels", IDS, texts=write(tmp_path, "t.tsv", "id\tquery\n1\tmug\n"))


def test_columns_can_be_given(tmp_path: Path) -> None:
    file = write(tmp_path, "q.csv", "phrase,what,how\nhat,7,3\n")
    assert as_dicts(read_judgements(file, IDS, columns={"query": "phrase", "item": "what", "grade": "how"})) == {
        "hat": {"7": 3.0}
    }
