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
from training.synthetic.files import write
from training.synthetic.generate import (  # fmt: skip
    SyntheticPolicy,
    SyntheticShop,
    interactions,
    looks,
    main,
    part_of_asked,
    popularity,
    shop,
    shop_of,
)
from training.synthetic.wording import SYNONYMS, cut_short, misspelt, usable

COLOURS, KINDS, STUFF = ("red", "navy blue", "brown", "tan"), ("mugs", "tshirts", "caps"), ("clay", "wool", "linen")
POLICY = SyntheticPolicy(each=8, seed=5)
SPLIT = SplitPolicy(validation=0.2, test=0.3, seed=5)


def drawn_shop(count: int = 240) -> SyntheticShop:
    """Products of twenty-four brands. Half of the titles say the colour."""
    draw = np.random.default_rng(1)
    examples = []
    for number in range(count):
        colour, kind, stuff = (str(draw.choice(some)) for some in (COLOURS, KINDS, STUFF))
        title = f"brand{number % 24} {colour if draw.random() < 0.5 else ''} {kind} no {number}"
        facets = {"colour": colour, "kind": kind, "material": stuff, "brand": f"brand{number % 24}"}
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


def test_every_query_asks_for_what_its_product_has_in_every_manner() -> None:
    seen: set[str] = set()
    for drawn in interactions(SHOP, POLICY, SPLIT):
        assert drawn.asked
        assert dict(drawn.asked).items() <= SHOP.facets[drawn.item].items()
        plain = [word for _, value in drawn.asked for word in words(value)]
        if not drawn.manners - {"visible_only", "visible_partly", "reordered"}:
            assert sorted(words(drawn.query)) == sorted(plain)
        seen |= drawn.manners
    assert seen == {"reordered", "synonym", "misspelt", "partial", "visible_only", "visible_partly"}


def test_no_query_and_no_product_is_in_two_parts(folder: Path) -> None:
    logs = [read_click_log(folder / f"synthetic-log-{part}.parquet", SHOP.ids) for part in PARTS]
    items = [set((folder / f"synthetic-{part}.items").read_text().split()) for part in PARTS]
    assert all(not log.skipped.counts for log in logs)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not set(logs[one].queries) & set(logs[other].queries)
        assert not items[one] & items[other]
    assert set.union(*items) == set(SHOP.ids)
    for log, own in zip(logs, items, strict=True):
        assert {SHOP.ids[item] for item in log.item} <= own


def test_right_is_every_product_of_the_part_that_has_all_that_is_asked_for(folder: Path) -> None:
    meant = {drawn.query: drawn.asked for drawn in interactions(SHOP, POLICY, SPLIT)}
    found = judged(folder, "test")
    part = [row for row in range(len(SHOP.ids)) if SHOP.parts[row] == PARTS.index("test")]
    assert len(found.queries) > 50
    for query, text in enumerate(found.queries):
        if found.groups["plain"][query]:
            has = [row for row in part if set(meant[text]) <= SHOP.facets[row].items()]
            assert found.pairs.of(query).tolist() == has


def test_a_visible_only_query_is_answered_by_titles_that_do_not_say_it_alone(folder: Path) -> None:
    found = judged(folder, "test")
    plain = {text: i for i, text in enumerate(found.queries) if found.groups["plain"][i]}
    meant = {drawn.query: dict(drawn.asked) for drawn in interactions(SHOP, POLICY, SPLIT)}
    twins = np.flatnonzero(found.groups["visible_only"] | found.groups["visible_partly"])
    assert len(twins) > 10
    assert not (found.groups["visible_only"] & found.groups["visible_partly"]).any()
    for query in twins.tolist():
        right, out = found.pairs.of(query).tolist(), found.left_out.of(query).tolist()
        asked = meant[found.queries[query]]
        assert "colour" in asked
        assert found.groups["visible_only"][query] == (asked.keys() <= {"colour", "kind"})
        assert sorted(right + out) == found.pairs.of(plain[found.queries[query]]).tolist()
        for row in right:
            assert not set(words(SHOP.titles[row])) & set(words(SHOP.facets[row]["colour"]))
        for row in out:
            assert set(words(SHOP.titles[row])) & set(words(SHOP.facets[row]["colour"]))


def test_looks_are_asked_for_once_each_in_their_own_part_and_in_no_log(folder: Path) -> None:
    test = PARTS.index("test")
    found = list(looks(SHOP, test, POLICY, SPLIT))
    assert found
    assert len({one.asked for one in found}) == len(found)
    judged_texts = judged(folder, "test").queries
    logged = {drawn.query for drawn in interactions(SHOP, POLICY, SPLIT)}
    only_judged = [one for one in found if one.query not in logged]
    for one in found:
        assert SHOP.parts[one.item] == part_of_asked(one.asked, POLICY, SPLIT) == test
        assert "visible_only" in one.manners
        assert dict(one.asked).keys() == {"colour", "kind"}
        assert "colour" in SHOP.hidden[one.item]
    assert all(one.query in judged_texts for one in only_judged)


def test_half_of_the_interactions_are_of_head_queries(folder: Path) -> None:
    log, found = read_click_log(folder / "synthetic-log-test.parquet", SHOP.ids), judged(folder, "test")
    often = {query: log.weight[log.query == row].sum() for row, query in enumerate(log.queries)}
    plain = found.groups["plain"]
    assert np.array_equal(plain, found.groups["head"] ^ found.groups["tail"])
    head = [often[text] for text, there in zip(found.queries, found.groups["head"], strict=True) if there]
    assert 0.5 <= sum(head) / log.weight.sum() < 0.6
    assert len(head) < plain.sum() / 2


def test_titles_are_judged_too(folder: Path) -> None:
    found = judged(folder, "validation", "titles")
    assert len(found.queries) == np.count_nonzero(SHOP.parts == PARTS.index("validation"))
    assert all(
        SHOP.titles[item].split() == found.queries[q].split()
        for q, item in zip(*(found.pairs.query, found.pairs.item), strict=True)
    )


def test_what_was_drawn_is_written_down_as_synthetic(folder: Path) -> None:
    said = json.loads((folder / "synthetic.json").read_text())
    assert said["synthetic"] is True
    assert said["policy"]["seed"] == 5
    drawn = sum(part["interactions"] for part in said["counts"].values())
    assert said["interactions wanted"] == drawn + said["passed over"] == 8 * 240
    assert sorted(file.name for file in folder.iterdir() if not file.name.startswith("titles-")) == sorted(
        ["synthetic.json"]
        + [f"synthetic-log-{part}.parquet" for part in PARTS]
        + [f"synthetic-{part}.items" for part in PARTS]
        + [f"synthetic-{part}.{kind}" for part in PARTS[1:] for kind in ("qrels", "queries.jsonl")]
    )


def test_a_query_that_too_many_answer_is_counted_and_not_judged(tmp_path: Path) -> None:
    counts = write(SHOP, tmp_path, SyntheticPolicy(each=8, seed=5, max_right=3), SPLIT, suffix="jsonl")
    found = judged(tmp_path, "test")
    assert counts["test"]["too broad to judge"] > 0
    assert np.bincount(found.pairs.query).max() <= 3
    assert read_click_log(tmp_path / "synthetic-log-test.jsonl", SHOP.ids).queries
    few = write(SHOP, tmp_path, SyntheticPolicy(each=8, seed=5, max_judged=9), SPLIT)
    assert few["test"]["plain"] == 9


def test_popularity_falls_by_zipfs_law() -> None:
    found = np.sort(popularity(1000, 0.8, np.random.default_rng(0)))[::-1]
    assert found.sum() == pytest.approx(1)
    assert found[0] / found[99] == pytest.approx(100**0.8)


def test_a_synonym_that_is_another_value_of_the_catalogue_is_not_used() -> None:
    assert "tan" in SYNONYMS["brown"]
    assert usable({"brown", "red"})["brown"] == SYNONYMS["brown"]
    assert "tan" not in usable({"brown", "tan"})["brown"]
    assert "brown" not in {value for others in SHOP.synonyms.values() for value in others}


def test_a_title_says_a_colour_by_any_word_that_begins_like_it() -> None:
    shades = ["gold", "gold", "navy blue", "grey", "grey"]
    titles = ["A Golden ring", "A goblet", "Navy cap", "Gray hat", "Greta's hat"]
    found = shop_of(
        [Example(str(i), t, b"", {"colour": c}, "") for i, (t, c) in enumerate(zip(titles, shades, strict=True))], SPLIT
    )
    assert [bool(hidden) for hidden in found.hidden] == [False, True, False, False, True]


def test_a_slip_is_one_and_spares_the_first_letter() -> None:
    draw = np.random.default_rng(0)
    seen = {misspelt("red striped mug", draw) for _ in range(300)}
    for text in seen:
        first, word, last = text.split(" ")
        assert (first, last) == ("red", "mug")
        assert word[0] == "s"
        assert abs(len(word) - len("striped")) <= 1
        assert word != "striped" or len(seen) > 20
    assert misspelt("red mug", draw) == "red mug"


def test_what_is_still_being_typed_is_a_beginning() -> None:
    draw = np.random.default_rng(0)
    seen = {cut_short("blue tshirts", draw) for _ in range(50)}
    assert seen == {"blue tsh", "blue tshi", "blue tshir"}
    assert cut_short("blue cap", draw) == "blue cap"


def test_the_command_reads_a_catalogue_and_says_what_it_drew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = [
        {"id": f"p{i}", "title": f"brand{i} {kind}", "attributes": {"kind": kind, "colour": COLOURS[i % 4]}}
        for i, kind in enumerate(KINDS * 20)
    ]
    (tmp_path / "products.jsonl").write_text("\n".join(map(json.dumps, events)))
    main([str(tmp_path), "--out", str(tmp_path / "out"), "--seed", "3", "--format", "jsonl"])
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == [f"synthetic {part}" for part in PARTS]
    assert (tmp_path / "out" / "synthetic-test.qrels").exists()


def test_a_catalogue_that_cannot_be_asked_for_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "products.jsonl").write_text('{"id": "a", "title": "Mug"}\n')
    with pytest.raises(InvalidInput, match="needs some"):
        shop(tmp_path, SPLIT)
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--out", str(tmp_path / "out")])
    assert "needs some" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="blanks"):
        shop_of([Example("a b", "Mug", b"", {"kind": "mug"}, "")], SPLIT)
