from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import InvalidInput
from evaluation.bm25 import words
from evaluation.judgements import Judgements, read_judgements
from training.data.products import Example
from training.data.query_log import read_click_log
from training.data.splits import PARTS, SplitPolicy
from training.synthetic.__main__ import main
from training.synthetic.files import write
from training.synthetic.generate import (  # fmt: skip
    SyntheticPolicy,
    SyntheticShop,
    interactions,
    part_of_query,
    popularity,
    read_shop,
    shop_of,
    visible_only_queries,
)
from training.synthetic.wording import SYNONYMS, cut_short, misspelt, usable

COLOURS, KINDS, MATERIALS = ("red", "navy blue", "brown", "tan"), ("mugs", "tshirts", "caps"), ("clay", "wool", "linen")
POLICY = SyntheticPolicy(each=8, seed=5)
SPLIT = SplitPolicy(validation=0.2, test=0.3, seed=5)


def drawn_shop(count: int = 240) -> SyntheticShop:
    """Products of twenty-four brands. Half of the titles name the colour."""
    rng = np.random.default_rng(1)
    examples = []
    for number in range(count):
        colour, kind, material = (str(rng.choice(values)) for values in (COLOURS, KINDS, MATERIALS))
        title = f"brand{number % 24} {colour if rng.random() < 0.5 else ''} {kind} no {number}"
        facets = {"colour": colour, "kind": kind, "material": material, "brand": f"brand{number % 24}"}
        examples.append(Example(str(number), title, b"", facets, ""))
    return shop_of(examples, SPLIT)


SHOP = drawn_shop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic")
    write(SHOP, out, POLICY, SPLIT)
    return out


def judged(folder: Path, part: str, of: str = "synthetic") -> Judgements:
    return read_judgements(folder / f"{of}-{part}.qrels", SHOP.ids, texts=folder / f"{of}-{part}.queries.jsonl")


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    first, again = list(interactions(SHOP, POLICY, SPLIT)), list(interactions(SHOP, POLICY, SPLIT))
    assert first == again
    assert len(first) > 7 * len(SHOP.ids)
    assert first != list(interactions(SHOP, SyntheticPolicy(each=8, seed=6), SPLIT))


def test_every_query_has_facets_of_its_product_in_all_manners() -> None:
    seen: set[str] = set()
    for click in interactions(SHOP, POLICY, SPLIT):
        assert click.facets
        assert dict(click.facets).items() <= SHOP.facets[click.item].items()
        plain = [word for _, value in click.facets for word in words(value)]
        if not click.manners - {"visible_only", "visible_partly", "reordered"}:
            assert sorted(words(click.query)) == sorted(plain)
        seen |= click.manners
    assert seen == {"reordered", "synonym", "misspelt", "partial", "visible_only", "visible_partly"}


def test_no_query_and_no_product_is_in_two_parts(folder: Path) -> None:
    logs = [read_click_log(folder / f"synthetic-log-{part}.parquet", SHOP.ids) for part in PARTS]
    items = [set((folder / f"synthetic-{part}.items").read_text().split()) for part in PARTS]
    assert all(not log.skipped.counts for log in logs)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not set(logs[a].queries) & set(logs[b].queries)
        assert not items[a] & items[b]
    assert set.union(*items) == set(SHOP.ids)
    for log, ids in zip(logs, items, strict=True):
        assert {SHOP.ids[item] for item in log.item} <= ids


def test_relevant_is_every_product_of_the_part_with_all_facets(folder: Path) -> None:
    facets = {click.query: click.facets for click in interactions(SHOP, POLICY, SPLIT)}
    judgements = judged(folder, "test")
    part = [row for row in range(len(SHOP.ids)) if SHOP.parts[row] == PARTS.index("test")]
    assert len(judgements.queries) > 50
    for query, text in enumerate(judgements.queries):
        if judgements.groups["plain"][query]:
            has = [row for row in part if set(facets[text]) <= SHOP.facets[row].items()]
            assert judgements.pairs.of(query).tolist() == has


def test_only_titles_without_the_facet_are_relevant_to_a_visible_only_query(folder: Path) -> None:
    judgements = judged(folder, "test")
    plain = {text: i for i, text in enumerate(judgements.queries) if judgements.groups["plain"][i]}
    facets = {click.query: dict(click.facets) for click in interactions(SHOP, POLICY, SPLIT)}
    visible = np.flatnonzero(judgements.groups["visible_only"] | judgements.groups["visible_partly"])
    assert len(visible) > 10
    assert not (judgements.groups["visible_only"] & judgements.groups["visible_partly"]).any()
    for query in visible.tolist():
        relevant, left_out = judgements.pairs.of(query).tolist(), judgements.left_out.of(query).tolist()
        names = facets[judgements.queries[query]]
        assert "colour" in names
        assert judgements.groups["visible_only"][query] == (names.keys() <= {"colour", "kind"})
        assert sorted(relevant + left_out) == judgements.pairs.of(plain[judgements.queries[query]]).tolist()
        for row in relevant:
            assert not set(words(SHOP.titles[row])) & set(words(SHOP.facets[row]["colour"]))
        for row in left_out:
            assert set(words(SHOP.titles[row])) & set(words(SHOP.facets[row]["colour"]))


def test_visible_only_queries_are_unique_in_their_part_and_in_no_log(folder: Path) -> None:
    test = PARTS.index("test")
    clicks = list(visible_only_queries(SHOP, test, POLICY, SPLIT))
    assert clicks
    assert len({click.facets for click in clicks}) == len(clicks)
    judged_texts = judged(folder, "test").queries
    logged = {click.query for click in interactions(SHOP, POLICY, SPLIT)}
    only_judged = [click for click in clicks if click.query not in logged]
    for click in clicks:
        assert SHOP.parts[click.item] == part_of_query(click.facets, POLICY, SPLIT) == test
        assert "visible_only" in click.manners
        assert dict(click.facets).keys() == {"colour", "kind"}
        assert "colour" in SHOP.hidden[click.item]
    assert all(click.query in judged_texts for click in only_judged)


def test_half_of_the_interactions_are_of_head_queries(folder: Path) -> None:
    log, judgements = read_click_log(folder / "synthetic-log-test.parquet", SHOP.ids), judged(folder, "test")
    counts = {query: log.weight[log.query == row].sum() for row, query in enumerate(log.queries)}
    plain = judgements.groups["plain"]
    assert np.array_equal(plain, judgements.groups["head"] ^ judgements.groups["tail"])
    is_head = judgements.groups["head"]
    head = [counts[text] for text, chosen in zip(judgements.queries, is_head, strict=True) if chosen]
    assert 0.5 <= sum(head) / log.weight.sum() < 0.6
    assert len(head) < plain.sum() / 2


def test_titles_are_judged_too(folder: Path) -> None:
    judgements = judged(folder, "validation", "titles")
    assert len(judgements.queries) == np.count_nonzero(SHOP.parts == PARTS.index("validation"))
    assert all(
        SHOP.titles[item].split() == judgements.queries[q].split()
        for q, item in zip(*(judgements.pairs.query, judgements.pairs.item), strict=True)
    )


def test_the_summary_is_labelled_synthetic(folder: Path) -> None:
    summary = json.loads((folder / "synthetic.json").read_text())
    assert summary["synthetic"] is True
    assert summary["policy"]["seed"] == 5
    total = sum(part["interactions"] for part in summary["counts"].values())
    assert summary["interactions wanted"] == total + summary["passed over"] == 8 * 240
    assert sorted(file.name for file in folder.iterdir() if not file.name.startswith("titles-")) == sorted(
        ["synthetic.json"]
        + [f"synthetic-log-{part}.parquet" for part in PARTS]
        + [f"synthetic-{part}.items" for part in PARTS]
        + [f"synthetic-{part}.{kind}" for part in PARTS[1:] for kind in ("qrels", "queries.jsonl")]
    )


def test_a_query_with_too_many_relevant_products_is_counted_but_not_judged(tmp_path: Path) -> None:
    counts = write(SHOP, tmp_path, SyntheticPolicy(each=8, seed=5, max_right=3), SPLIT, suffix="jsonl")
    judgements = judged(tmp_path, "test")
    assert counts["test"]["too broad to judge"] > 0
    assert np.bincount(judgements.pairs.query).max() <= 3
    assert read_click_log(tmp_path / "synthetic-log-test.jsonl", SHOP.ids).queries
    few = write(SHOP, tmp_path, SyntheticPolicy(each=8, seed=5, max_judged=9), SPLIT)
    assert few["test"]["plain"] == 9


def test_popularity_falls_by_zipfs_law() -> None:
    chance = np.sort(popularity(1000, 0.8, np.random.default_rng(0)))[::-1]
    assert chance.sum() == pytest.approx(1)
    assert chance[0] / chance[99] == pytest.approx(100**0.8)


def test_a_synonym_that_is_another_value_of_the_catalogue_is_not_used() -> None:
    assert "tan" in SYNONYMS["brown"]
    assert usable({"brown", "red"})["brown"] == SYNONYMS["brown"]
    assert "tan" not in usable({"brown", "tan"})["brown"]
    assert "brown" not in {value for others in SHOP.synonyms.values() for value in others}


def test_a_title_mentions_a_colour_by_any_word_that_begins_with_it() -> None:
    shades = ["gold", "gold", "navy blue", "grey", "grey"]
    titles = ["A Golden ring", "A goblet", "Navy cap", "Gray hat", "Greta's hat"]
    shop = shop_of(
        [Example(str(i), t, b"", {"colour": c}, "") for i, (t, c) in enumerate(zip(titles, shades, strict=True))], SPLIT
    )
    assert [bool(hidden) for hidden in shop.hidden] == [False, True, False, False, True]


def test_a_typo_is_single_and_not_in_the_first_letter() -> None:
    rng = np.random.default_rng(0)
    seen = {misspelt("red striped mug", rng) for _ in range(300)}
    for text in seen:
        first, word, last = text.split(" ")
        assert (first, last) == ("red", "mug")
        assert word[0] == "s"
        assert abs(len(word) - len("striped")) <= 1
        assert word != "striped" or len(seen) > 20
    assert misspelt("red mug", rng) == "red mug"


def test_an_unfinished_word_is_a_prefix() -> None:
    rng = np.random.default_rng(0)
    seen = {cut_short("blue tshirts", rng) for _ in range(50)}
    assert seen == {"blue tsh", "blue tshi", "blue tshir"}
    assert cut_short("blue cap", rng) == "blue cap"


def test_the_command_reads_a_catalogue_and_prints_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = [
        {"id": f"p{i}", "title": f"brand{i} {kind}", "attributes": {"kind": kind, "colour": COLOURS[i % 4]}}
        for i, kind in enumerate(KINDS * 20)
    ]
    (tmp_path / "products.jsonl").write_text("\n".join(map(json.dumps, events)))
    main([str(tmp_path), "--out", str(tmp_path / "out"), "--seed", "3", "--format", "jsonl"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"synthetic {part}" for part in PARTS]
    assert (tmp_path / "out" / "synthetic-test.qrels").exists()


def test_a_catalogue_without_attributes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "products.jsonl").write_text('{"id": "a", "title": "Mug"}\n')
    with pytest.raises(InvalidInput, match="needs some"):
        read_shop(tmp_path, SPLIT)
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--out", str(tmp_path / "out")])
    assert "needs some" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="blanks"):
        shop_of([Example("a b", "Mug", b"", {"kind": "mug"}, "")], SPLIT)
