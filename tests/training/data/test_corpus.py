from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.data.test_products import example
from tests.training.tiny import RECIPE, backbones
from training.data.corpus import Corpus, CorpusSource, build_corpus, cut_titles
from training.data.query_log import ClickLog
from training.recipe import Recipe


def log(queries: list[str], query: list[int], item: list[int], weight: list[float]) -> ClickLog:
    return ClickLog(tuple(queries), np.array(query, np.int32), np.array(item, np.int32), np.array(weight, np.float32))


def corpus(tmp_path: Path, recipe: Recipe) -> Corpus:
    """Two catalogues, of four products and of one. Two of the first share a title, one is for validation."""
    empty = log([], [], [], [])
    first = CorpusSource(
        [example(0, "Acme mug"), example(1, "Acme mug"), example(2, ""), example(3, "Borg hat")],
        log(["mug", "cup"], [0, 1], [0, 1], [4.0, 1.0]), empty, empty,
        train_rows=np.arange(3), validation_rows=np.array([3]), test_rows=np.arange(0),
    )  # fmt: skip
    only, none = np.arange(1), np.arange(0)
    second = CorpusSource([example(0, "Cord lamp")], log(["mug"], [0], [0], [1.0]), empty, empty, only, none, none)
    return build_corpus([first, second], recipe, backbones(), cache=tmp_path, on_progress=lambda *_: None)


def test_how_often_each_interaction_is_drawn(tmp_path: Path) -> None:
    """Two thirds from the catalogue of four, one third from that of one; a fifth of both by titles."""
    recipe = replace(RECIPE, data=replace(RECIPE.data, title_query_share=0.2, popularity=0.5, plain_texts=40))
    table = corpus(tmp_path, recipe).train
    assert table.item.tolist() == [0, 1, 4, 0, 1, 4]
    expected = [0.8 * 2 / 3 * 2 / 3, 0.8 * 2 / 3 / 3, 0.8 / 3, 0.2 * 2 / 3 / 2, 0.2 * 2 / 3 / 2, 0.2 / 3]
    np.testing.assert_allclose(table.weight, expected)
    assert table.weight.sum() == pytest.approx(1)


def test_a_title_is_a_query_for_all_products_with_it(tmp_path: Path) -> None:
    built = corpus(tmp_path, replace(RECIPE, data=replace(RECIPE.data, plain_texts=40)))
    log_query, title = built.train.query[0], built.train.query[4]
    assert built.positives.positives(int(title)).tolist() == [0, 1]
    assert built.positives.positives(int(log_query)).tolist() == [0, 4], "the query is in both logs"
    text = built.query_texts(np.array([log_query, title]))
    assert text.seen.sum(1).tolist() == [len(built.query_tokens(int(number))) for number in (log_query, title)]
    alone = built.titles.text(np.array([0]))
    torch.testing.assert_close(text.states[1, : alone.states.shape[1]], alone.states[0])
    torch.testing.assert_close(text.states[0][text.seen[0]], built.queries.text(np.array([0])).states[0])


def test_without_title_queries_only_the_log_remains(tmp_path: Path) -> None:
    recipe = replace(RECIPE, data=replace(RECIPE.data, title_query_share=0.0, plain_texts=40))
    assert len(corpus(tmp_path, recipe).train.query) == 3


def test_a_cut_title_keeps_some_words_in_their_order(tmp_path: Path) -> None:
    titles = ["one two three four five six", "alone", ""]
    samples = [cut_titles(titles, seed) for seed in range(40)]
    assert samples[0] == cut_titles(titles, 0)
    assert {sample[1:] == ["alone", ""] for sample in samples} == {True}
    lengths = [len(sample[0].split()) for sample in samples]
    assert 1 <= min(lengths) < 3.5 < max(lengths) <= 6
    assert all(
        sample[0].split() == [word for word in titles[0].split() if word in sample[0].split()] for sample in samples
    )
    recipe = replace(RECIPE, data=replace(RECIPE.data, plain_texts=40, cut_title=0.5))
    built = corpus(tmp_path, recipe)
    assert built.cuts is not None
    rows, yes, no = np.array([0, 0, 3, 3]), np.array([True, True, True, False]), np.array([False, True, False, True])
    text = built.title_texts(rows, yes, no)
    lengths = [len(built.titles.tokens(0)), len(built.cuts.tokens(0)), len(built.titles.tokens(3))]
    assert text.seen.sum(1).tolist() == [*lengths, 0]
