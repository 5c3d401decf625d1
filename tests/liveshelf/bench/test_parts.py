"""The benchmarks in their smallest form: they end, return figures of every kind, and detect a wrong index."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from catalog.errors import InvalidInput
from liveshelf.bench.harness.catalogue import products
from liveshelf.bench.harness.changes import mix
from liveshelf.bench.harness.expected_state import ExpectedState
from liveshelf.bench.harness.figures import Figure, table
from liveshelf.bench.harness.load import TROUBLED, EventGenerator
from liveshelf.bench.harness.visibility import PendingChanges, moments
from liveshelf.cli import main

LOADED = [{"op": "put", "id": f"p{n}", "version": 1, "title": f"Mug {n}", "offer": {"price": 1.0}} for n in range(50)]


def test_the_command_measures_and_writes_its_figures(tmp_path: Path) -> None:
    catalogue = tmp_path / "products.jsonl"
    catalogue.write_text("".join(json.dumps(product) + "\n" for product in LOADED))
    result = CliRunner().invoke(main, ["bench", "replay", str(catalogue), "--items", "20", "--json"])
    assert result.exit_code == 0, result.output
    (replay, encoder) = json.loads(result.stdout)["parts"]["replay"]
    assert "20 events, no forward" in replay["name"]
    assert replay["ratio"] == pytest.approx(replay["value"] / encoder["value"])


def test_an_unknown_part_is_named() -> None:
    result = CliRunner().invoke(main, ["bench", "mix", "speed"])
    assert result.exit_code == 1
    assert "'speed' is neither a part nor a file" in result.output


def test_the_mix_has_its_shares_and_events_and_products_give_the_same_state() -> None:
    changes = list(mix(LOADED, 2000, version=1))
    patches = sum(change.event["op"] == "patch" for change in changes)
    assert patches / 2000 == pytest.approx(0.60, abs=0.04)
    assert sum(change.encodes for change in changes) / 2000 == pytest.approx(0.15, abs=0.03)
    assert all(a.event["version"] < b.event["version"] for a, b in pairwise(changes))
    assert ExpectedState.of([*LOADED, *(c.event for c in changes)]) == ExpectedState.of(
        [*LOADED, *(c.product for c in changes)]
    )


def test_new_content_comes_from_products_not_seen_before() -> None:
    fresh = [{"id": f"x{n}", "title": f"Lamp {n}", "images": [f"https://x.example/{n}.jpg"]} for n in range(5)]
    encoded = [c.product["title"] for c in mix(LOADED, 200, version=1, fresh=fresh) if c.encodes]
    assert encoded[:5] == [product["title"] for product in fresh]


def test_expected_state_applies_deletes_and_refuses_a_patch_of_nothing() -> None:
    assert ExpectedState.of([*LOADED[:2], {"op": "delete", "id": "p0"}]).products == {"p1": ("Mug 1", 1.0)}
    with pytest.raises(InvalidInput, match="put it first"):
        ExpectedState.of([{"op": "patch", "id": "p0", "offer": {"price": 2.0}}])


def test_a_table_has_a_line_for_each_figure() -> None:
    figures = [
        Figure("mix", 1234.5, "events/s", ratio=4.21, of="yardstick", goal=4.0),
        Figure("to visible", 200.0, "ms", most=150.0),
        Figure("CPU", 0.5, "s"),
    ]
    assert table(figures).splitlines()[2:] == [
        "| mix | 1,234 events/s | 4.21 x yardstick | 4 x |",
        "| to visible | 200 ms |  | at most 150 ms |",
        "| CPU | 0.5 s |  |  |",
    ]
    assert [figure.met for figure in figures] == [True, False, None]


def test_an_event_generator_tracks_the_live_products() -> None:
    changes = EventGenerator(LOADED, rng=random.Random(1))
    sent = [change for change in (changes.draw(TROUBLED) for _ in range(2000)) if change.kind != "bad"]
    assert all(a.version < b.version for a, b in pairwise(sent))
    assert len(ExpectedState.of([*LOADED, *(json.loads(change.value) for change in sent)]).products) == changes.live


def test_arrivals_have_their_rate_and_end_in_time() -> None:
    at = moments(50, 100, random.Random(1))
    assert len(at) == pytest.approx(5000, rel=0.05)
    assert at[0] > 0
    assert at[-1] < 100


def test_the_oldest_changes_come_with_later_versions_of_their_products():
    pending = PendingChanges(due={1: ("a", 10.0), 2: ("b", 10.0), 3: ("c", 10.5), 4: ("a", 11.0)})
    assert pending.oldest(2) == [1, 2, 4]
    assert pending.oldest(9) == [1, 2, 3, 4]


def test_a_seen_version_covers_earlier_versions_of_the_same_product_only() -> None:
    pending = PendingChanges(due={1: ("a", 10.0), 2: ("b", 10.0), 3: ("a", 11.0), 4: ("a", 12.0)})
    pending.seen("a", 3, now=13.0)
    assert pending.took == {1: 3.0, 3: 2.0}
    assert set(pending.due) == {2, 4}


def test_products_are_put_events_of_one_version_without_repeats(tmp_path: Path) -> None:
    rows = [{**LOADED[0], "version": 7}, LOADED[0], {"op": "delete", "id": "p9"}, {"op": "put", "id": "p2", "title": 5}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [(event["id"], event["version"]) for event in products(tmp_path / "a.jsonl", version=3)] == [("p0", 3)]


def test_a_catalogue_without_products_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    result = CliRunner().invoke(main, ["bench", "mix", str(tmp_path / "a.jsonl")])
    assert result.exit_code == 1
    assert "is a product: see `liveshelf backfill --help`" in result.output
