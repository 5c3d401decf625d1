from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.data.test_products import example
from tests.training.tiny import RECIPE, backbones
from training.data.corpus import Corpus, CorpusSource, cut
from training.data.corpus import corpus as made
from training.data.query_log import ClickLog
from training.recipe import Recipe


def log(queries: list[str], query: list[int], item: list[int], weight: list[float]) -> ClickLog:
    return ClickLog(tuple(queries), np.array(query, np.int32), np.array(item, np.int32), np.array(weight, np.float32))


def corpus(tmp_path: Path, recipe: Recipe) -> Corpus:
    """Two catalogues, of four products and of one; two products of the first have one title, and one is held back."""
    none = log([], [], [], [])
    first = CorpusSource(
        [example(0, "Acme mug"), example(1, "Acme mug"), example(2, ""), example(3, "Borg hat")],
        log(["mug", "cup"], [0, 1], [0, 1], [4.0, 1.0]), none, none,
        taught=np.arange(3), shelf=np.array([3]), tested=np.arange(0),
    )  # fmt: skip
    some, nothing = np.arange(1), np.arange(0)
    second = CorpusSource([example(0, "Cord lamp")], log(["mug"], [0], [0], [1.0]), none, none, some, nothing, nothing)
    return made([first, second], recipe, backbones(), cache=tmp_path, told=lambda *_: None)


def test_how_often_each_interaction_is_drawn(tmp_path: Path) -> None:
    """Two thirds from the catalogue of four, one third from that of one; a fifth of both by titles."""
    recipe = replace(RECIPE, data=replace(RECIPE.data, ask_title=0.2, popularity=0.5, plain_texts=40))
    part = corpus(tmp_path, recipe).train
    assert part.item.tolist() == [0, 1, 4, 0, 1, 4]
    expected = [0.8 * 2 / 3 * 2 / 3, 0.8 * 2 / 3 / 3, 0.8 / 3, 0.2 * 2 / 3 / 2, 0.2 * 2 / 3 / 2, 0.2 / 3]
    np.testing.assert_allclose(part.weight, expected)
    assert part.weight.sum() == pytest.approx(1)


def test_a_title_is_a_query_that_all_products_of_it_answer(tmp_path: Path) -> None:
    found = corpus(tmp_path, replace(RECIPE, data=replace(RECIPE.data, plain_texts=40)))
    log_query, title = found.train.query[0], found.train.query[4]
    assert found.known.positives(int(title)).tolist() == [0, 1]
    assert found.known.positives(int(log_query)).tolist() == [0, 4], "both catalogues were asked for a mug"
    text = found.asked(np.array([log_query, title]))
    assert text.seen.sum(1).tolist() == [len(found.tokens_asked(int(number))) for number in (log_query, title)]
    alone = found.titles.text(np.array([0]))
    torch.testing.assert_close(text.states[1, : alone.states.shape[1]], alone.states[0])
    torch.testing.assert_close(text.states[0][text.seen[0]], found.queries.text(np.array([0])).states[0])


def test_without_titles_the_log_is_all(tmp_path: Path) -> None:
    recipe = replace(RECIPE, data=replace(RECIPE.data, ask_title=0.0, plain_texts=40))
    assert len(corpus(tmp_path, recipe).train.query) == 3


def test_a_cut_title_has_some_of_its_words_in_their_order(tmp_path: Path) -> None:
    titles = ["one two three four five six", "alone", ""]
    found = [cut(titles, seed) for seed in range(40)]
    assert found[0] == cut(titles, 0)
    assert {some[1:] == ["alone", ""] for some in found} == {True}
    lengths = [len(some[0].split()) for some in found]
    assert 1 <= min(lengths) < 3.5 < max(lengths) <= 6
    assert all(some[0].split() == [word for word in titles[0].split() if word in some[0].split()] for some in found)
    recipe = replace(RECIPE, data=replace(RECIPE.data, plain_texts=40, cut_title=0.5))
    corpus_found = corpus(tmp_path, recipe)
    assert corpus_found.cuts is not None
    rows, yes, no = np.array([0, 0, 3, 3]), np.array([True, True, True, False]), np.array([False, True, False, True])
    text = corpus_found.shown(rows, yes, no)
    lengths = [len(corpus_found.titles.tokens(0)), len(corpus_found.cuts.tokens(0)), len(corpus_found.titles.tokens(3))]
    assert text.seen.sum(1).tolist() == [*lengths, 0]
