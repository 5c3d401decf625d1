from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import InvalidInput
from training.data.query_log import MAX_QUERY, NAMES, ClickLog, read_click_log

IDS = ("a", "b", "7")
ROWS = [("red mug", "a", 2.0), ("Red  Mug ", "a", 1.0), ("hat", "7", 0.5), ("red mug", "b", 1.0)]


def csv(folder: Path, text: str | bytes, name: str = "log.csv") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def triples(log: ClickLog) -> list[tuple[str, str, float]]:
    rows = zip(log.query.tolist(), log.item.tolist(), log.weight.tolist(), strict=True)
    return [(log.queries[query], IDS[item], weight) for query, item, weight in rows]


EXPECTED = [("red mug", "a", 3.0), ("red mug", "b", 1.0), ("hat", "7", 0.5)]


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv", "tsv", "semicolons", "folder"])
def test_the_same_log_is_read_from_every_kind_of_file(tmp_path: Path, kind: str) -> None:
    def separated(by: str) -> str:
        return "\n".join(by.join(map(str, row)) for row in [("search_term", "item_id", "clicks"), *ROWS])

    if kind == "parquet":
        file = tmp_path / "log.parquet"
        columns = dict(zip(("search_term", "item_id", "clicks"), map(list, zip(*ROWS, strict=True)), strict=True))
        pq.write_table(pa.table(columns), file)
    elif kind == "jsonl":
        lines = [json.dumps({"search_term": q, "item_id": i, "clicks": w}) for q, i, w in ROWS]
        file = csv(tmp_path, "\n".join(lines) + "\n\n", "log.jsonl")
    elif kind == "folder":
        csv(tmp_path, "query,item,weight\nred mug,a,2\n", "1.csv")
        lines = [json.dumps({"query": q, "item": i, "weight": w}) for q, i, w in ROWS[1:]]
        csv(tmp_path, "\n".join(lines), "2.jsonl")
        file = tmp_path
    else:
        by = {"csv": ",", "tsv": "\t", "semicolons": ";"}[kind]
        file = csv(tmp_path, separated(by), "log.tsv" if kind == "tsv" else "log.csv")
    log = read_click_log(file, IDS)
    assert triples(log) == EXPECTED
    assert (log.query.dtype, log.item.dtype, log.weight.dtype) == (np.int32, np.int32, np.float32)
    assert log.merged == 1
    assert log.sentences() == [
        "3 interactions of 2 queries with 3 products.",
        "1 rows repeat a query's product: their weights are summed.",
    ]
    assert log.positives(0) == {0, 1}
    assert log.positives(1) == {2}


def test_columns_with_other_names_are_given(tmp_path: Path) -> None:
    file = csv(tmp_path, "phrase,what,how often\nmug,a,3\n")
    columns = {"query": "phrase", "item": "what", "weight": "how often"}
    assert triples(read_click_log(file, IDS, columns)) == [("mug", "a", 3.0)]


def test_the_default_weight_is_one(tmp_path: Path) -> None:
    assert triples(read_click_log(csv(tmp_path, "query,sku\nmug,a\nmug,a\n"), IDS)) == [("mug", "a", 2.0)]


def test_ids_that_a_gap_in_the_column_made_floats_are_matched(tmp_path: Path) -> None:
    pq.write_table(pa.table({"query": ["hat"], "item": [7.0]}), tmp_path / "log.parquet")
    assert triples(read_click_log(tmp_path / "log.parquet", IDS)) == [("hat", "7", 1.0)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("mug,nothing,1", "the item is not in the catalogue"),
        ("mug,,1", "the item is not in the catalogue"),
        ('" ",a,1', "the query is empty"),
        ("mug,a,nan", "the weight is not a number above zero"),
        ("mug,a,inf", "the weight is not a number above zero"),
        ("mug,a,-1", "the weight is not a number above zero"),
        ("mug,a,0", "the weight is not a number above zero"),
        ("mug,a,many", "the weight is not a number above zero"),
        ("mug,a", "more or fewer cells than the header has"),
        ("mug, red,a,1", "more or fewer cells than the header has"),
        (f"{'m' * (MAX_QUERY + 1)},a,1", f"the query is longer than {MAX_QUERY} characters"),
    ],
)
def test_a_bad_row_is_counted_and_affects_no_other(tmp_path: Path, row: str, reason: str) -> None:
    log = read_click_log(csv(tmp_path, f"query,item,weight\n{row}\n{row}\nhat,7,1\n"), IDS)
    assert triples(log) == [("hat", "7", 1.0)]
    assert dict(log.skipped.counts) == {reason: 2}
    assert log.sentences()[1] == f"2 skipped: {reason}; first log.csv line 2."


def test_bytes_that_are_not_utf8_skip_only_their_row(tmp_path: Path) -> None:
    latin = "tasse à café,a,1\n".encode("latin-1")
    log = read_click_log(csv(tmp_path, b"query,item,weight\n" + latin + "tasse à thé,b,1\n".encode()), IDS)
    assert triples(log) == [("tasse à thé", "b", 1.0)]
    assert list(log.skipped.first.values()) == ["log.csv line 2"]
    lines = (
        b'{"query": "caf\xe9", "item": "a"}\n{"query": "\\ud800", "item": "a"}\n{"query": "hat", "item": "7"}\nno\n[]\n'
    )
    log = read_click_log(csv(tmp_path, lines, "log.jsonl"), IDS)
    assert triples(log) == [("hat", "7", 1.0)]
    assert dict(log.skipped.counts) == {
        "not UTF-8 (save the file as UTF-8)": 1,
        "the query is not UTF-8": 1,
        "not a JSON object": 2,
    }


def test_values_of_other_types_are_counted(tmp_path: Path) -> None:
    rows = [{"query": ["hat"], "item": "7"}, {"query": 5, "item": "7"}, {"query": None, "item": "7"}, {"item": "7"}]
    rows += [
        {"query": "hat", "item": {"id": "7"}},
        {"query": "hat", "item": "7", "weight": [1]},
        {"query": "hat", "item": 7},
    ]
    log = read_click_log(csv(tmp_path, "\n".join(map(json.dumps, rows)), "log.jsonl"), IDS)
    assert triples(log) == [("hat", "7", 1.0)]
    assert dict(log.skipped.counts) == {
        "the query is not text": 2,
        "the query is empty": 2,
        "the item is not in the catalogue": 1,
        "the weight is not a number above zero": 1,
    }


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    assert len(read_click_log(csv(tmp_path, "\ufeffquery,item\nmug,a\n"), IDS).query) == 1
    assert len(read_click_log(csv(tmp_path, '\ufeff{"query": "mug", "item": "a"}\n', "log.jsonl"), IDS).query) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("query,what\nmug,a\n", "lacks a column of the item.*'query', 'what'.*item=COLUMN"),
        ("", "lacks a column of the query"),
        ("query,item\n", "no interaction"),
        ("query,item\nmug,z\n", "no interaction.*1 skipped: the item is not in the catalogue"),
        ('query,item\n"mug,' + "a" * 200_000, "line 2 cannot be read as CSV"),
    ],
)
def test_a_file_that_is_not_a_log_is_refused_with_what_to_do(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        read_click_log(csv(tmp_path, text), IDS)


def test_another_encoding_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="UTF-8"):
        read_click_log(csv(tmp_path, "query,item\nmug,a\n".encode("utf-16")), IDS)
    with pytest.raises(InvalidInput, match="not a parquet file"):
        read_click_log(csv(tmp_path, "query", "log.parquet"), IDS)
    with pytest.raises(InvalidInput, match=r"none of the suffixes \.parquet"):
        read_click_log(csv(tmp_path, "query", "log.xlsx"), IDS)
    with pytest.raises(InvalidInput, match="no file or folder"):
        read_click_log(tmp_path / "lost.csv", IDS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="name a folder with some"):
        read_click_log(tmp_path / "empty", IDS)


def test_a_wrong_column_is_refused(tmp_path: Path) -> None:
    file = csv(tmp_path, "query,item\nmug,a\n")
    with pytest.raises(InvalidInput, match="lacks the column 'phrase'"):
        read_click_log(file, IDS, {"query": "phrase"})
    with pytest.raises(InvalidInput, match="no field 'price'"):
        read_click_log(file, IDS, {"price": "item"})


def test_two_products_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"Two products .* 'a'"):
        read_click_log(csv(tmp_path, "query,item\nmug,a\n"), ("a", "b", "a"))


@given(rows=st.lists(st.tuples(st.sampled_from("pqr"), st.sampled_from("ab7z"), st.sampled_from([1, 2, 0, -1]))))
def test_every_row_is_an_interaction_merged_or_counted(
    rows: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = csv(
        tmp_path_factory.mktemp("log"), "query,item,weight\nmug,a,1\n" + "".join(f"{q},{i},{w}\n" for q, i, w in rows)
    )
    log = read_click_log(file, IDS)
    assert len(log.query) + log.merged + log.skipped.counts.total() == len(rows) + 1
    assert log.weight.sum() == 1 + sum(w for _, i, w in rows if i != "z" and w > 0)
    pairs = list(zip(log.query.tolist(), log.item.tolist(), strict=True))
    assert pairs == sorted(set(pairs))


def test_the_log_on_the_models_page_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "models.md").read_text("utf-8")
    example = page.split("```csv log\n")[1].split("```")[0]
    log = read_click_log(csv(tmp_path, example), ("sku-17", "sku-40"))
    assert (log.queries, log.weight.tolist()) == (("red mug", "straw hat"), [12, 1])
    assert not log.skipped.counts
    for name in ("search_term", "sku", "product_id", "clicks", "count"):
        assert f"`{name}`" in page
        assert any(name in names for names in NAMES.values())
