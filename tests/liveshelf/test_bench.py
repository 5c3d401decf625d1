"""The benchmarks' smallest form: they end, with figures of every kind, and find out what is wrong in an index."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from catalog.errors import Misuse
from liveshelf.bench.changes import mix
from liveshelf.bench.figures import Figure, table
from liveshelf.bench.fold import Fold
from liveshelf.cli import main

LOADED = [{"op": "put", "id": f"p{n}", "version": 1, "title": f"Mug {n}", "offer": {"price": 1.0}} for n in range(50)]


def test_the_command_measures_and_writes_what_it_found(tmp_path: Path) -> None:
    catalogue, out = tmp_path / "products.jsonl", tmp_path / "out.json"
    catalogue.write_text("".join(json.dumps(product) + "\n" for product in LOADED))
    told = CliRunner().invoke(main, ["bench", str(catalogue), "--only", "replay", "--items", "20", "--json", str(out)])
    assert told.exit_code == 0, told.output
    (replay, encoder) = json.loads(out.read_text())["parts"]["replay"]
    assert "20 events, no forward" in replay["name"]
    assert replay["ratio"] == pytest.approx(replay["value"] / encoder["value"])


def test_a_part_that_is_none_is_named() -> None:
    told = CliRunner().invoke(main, ["bench", "--only", "mix,speed"])
    assert told.exit_code == 1
    assert "There is no part 'speed' to measure" in told.output


def test_the_mix_has_its_shares_and_both_tellings_of_it_make_the_same_shelf() -> None:
    changes = list(mix(LOADED, 2000, version=1))
    patches = sum(change.event["op"] == "patch" for change in changes)
    assert patches / 2000 == pytest.approx(0.60, abs=0.04)
    assert sum(change.encodes for change in changes) / 2000 == pytest.approx(0.15, abs=0.03)
    assert all(a.event["version"] < b.event["version"] for a, b in pairwise(changes))
    assert Fold.of([*LOADED, *(c.event for c in changes)]) == Fold.of([*LOADED, *(c.whole for c in changes)])


def test_new_content_comes_from_products_not_seen_before() -> None:
    fresh = [{"id": f"x{n}", "title": f"Lamp {n}", "images": [f"https://x.example/{n}.jpg"]} for n in range(5)]
    encoded = [c.whole["title"] for c in mix(LOADED, 200, version=1, fresh=fresh) if c.encodes]
    assert encoded[:5] == [product["title"] for product in fresh]


def test_a_fold_knows_deletes_and_refuses_a_patch_of_nothing() -> None:
    assert Fold.of([*LOADED[:2], {"op": "delete", "id": "p0"}]).products == {"p1": ("Mug 1", 1.0)}
    with pytest.raises(Misuse, match="put it first"):
        Fold.of([{"op": "patch", "id": "p0", "offer": {"price": 2.0}}])


def test_a_table_has_a_line_for_each_figure() -> None:
    shown = table([Figure("mix", 1234.5, "events/s", ratio=4.21, of="yardstick", goal=4.0), Figure("CPU", 0.5, "s")])
    assert shown.splitlines()[2:] == ["| mix | 1,234 events/s | 4.21 x yardstick | 4 x |", "| CPU | 0.5 s |  |  |"]
