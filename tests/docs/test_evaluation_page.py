"""docs/evaluation.md: its files are read as it says, and its names are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from evaluation.comparison import ChancePolicy, Depths
from evaluation.judgements import NAMES, Judgements, read_judgements
from evaluation.metrics import all_metrics, gains_of
from tests.evaluation.judged import judgements
from training.data.query_log import read_click_log
from training.data.splits import PARTS
from training.synthetic.__main__ import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "evaluation.md").read_text("utf-8")
BLOCKS = {(kind, name): text for kind, name, text in re.findall(r"^```(\w+) (\w+)\n(.*?)^```$", PAGE, re.M | re.S)}
IDS = ("sku-17", "sku-18", "sku-40", "sku-41")


def block(folder: Path, kind: str, name: str) -> Path:
    file = folder / f"{name}.{kind}"
    file.write_text(BLOCKS[kind, name], "utf-8")
    return file


def grades(judged: Judgements) -> list[tuple[str, int, float]]:
    rows = zip(judged.pairs.query, judged.pairs.item.tolist(), judged.grade.tolist(), strict=True)
    return [(judged.queries[query], item, grade) for query, item, grade in rows]


def test_the_judgements_that_are_shown_say_the_same_in_both_forms(tmp_path: Path) -> None:
    table = read_judgements(block(tmp_path, "csv", "judgements"), IDS)
    queries = block(tmp_path, "jsonl", "queries")
    trec = read_judgements(block(tmp_path, "text", "qrels").rename(tmp_path / "q.qrels"), IDS, texts=queries)
    assert grades(table) == grades(trec) == [("red mug", 0, 2.0), ("red mug", 1, 1.0), ("straw hat", 2, 1.0)]
    assert trec.groups["head"].tolist() == [True, False]
    assert trec.left_out.of(1).tolist() == [3]
    assert not table.skipped.counts | trec.skipped.counts


def test_the_log_that_is_shown_is_one(tmp_path: Path) -> None:
    log = read_click_log(block(tmp_path, "csv", "log"), IDS)
    assert (log.queries, log.weight.tolist()) == (("red mug", "straw hat"), [12, 3, 1])
    assert not log.skipped.counts


def test_the_measures_are_those_that_there_are() -> None:
    names = set(all_metrics(gains_of(np.zeros((1, 1), np.int32), judgements([{0: 1.0}])), Depths().ks))
    rows = re.findall(r"^\| `([^`]+)` \|", PAGE.split("## How to read it")[1].split("##")[0], re.M)
    assert set(rows) == names | {f"beyond words@{Depths().first}"}
    assert f"{ChancePolicy().draws:,} random swaps" in PAGE
    assert f"{ChancePolicy().within:.0%} of the means" in PAGE
    assert {"product_id", "relevance", "search_term"} <= {name for names in NAMES.values() for name in names}


def test_the_synthetic_files_and_groups_are_those_that_are_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (words,) = (line.split() for line in PAGE.splitlines() if line.startswith("    python -m training.synthetic"))
    colours = ("red", "navy blue", "brown", "yellow")
    lines = [
        f'{{"id": "{i}", "title": "brand{i % 9} thing {i}", "attributes": {{"kind": "t-shirt", "size": "{i % 5}"}}, '
        f'"seen": {{"colour": "{colours[i % 4]}"}}}}'
        for i in range(200)
    ]
    (tmp_path / "products.jsonl").write_text("\n".join(lines))
    out = tmp_path / "out"
    main([{"CATALOGUE": str(tmp_path), "DIR": str(out)}.get(word, word) for word in words[3:]])
    capsys.readouterr()
    named = {
        name.replace("PART", part) for name in re.findall(r"`((?:synthetic|titles)-[\w.-]*)`", PAGE) for part in PARTS
    }
    written = {file.name for file in out.iterdir()}
    exist = {name for name in named if name in written or f"{name}.qrels" in written}
    assert {
        name for name in named if not name.endswith(("train.qrels", "train.queries.jsonl", "titles-train"))
    } <= exist
    judged = read_judgements(
        out / "synthetic-test.qrels", [str(i) for i in range(200)], texts=out / "synthetic-test.queries.jsonl"
    )
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE.split("## A synthetic log")[1], re.M)
    assert set(judged.groups) == {name for row in rows for name in re.findall(r"`(\w+)`", row)}
