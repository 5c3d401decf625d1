"""The input of a training: the backbones' features of every title, photo and query, and the interactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from encoders.models.late_fusion import Backbones
from encoders.towers.backbones import TEXT_LAYERS
from encoders.towers.preprocessing import tidy
from encoders.towers.single_stream import TextInput
from training.data.features import FeatureStates, Progress, photo_grids, photo_pixels, text_states
from training.data.products import Example
from training.recipe import DataConfig, Recipe
from training.tasks.mlm import FIRST_WORD
from training.tasks.negatives import Positives


class QueryLog(Protocol):
    """Interactions: arrays (n,) of rows of `queries`, rows of the catalogue, and weights above zero."""

    @property
    def queries(self) -> Sequence[str]: ...
    @property
    def query(self) -> NDArray[np.int32]: ...
    @property
    def item(self) -> NDArray[np.int32]: ...
    @property
    def weight(self) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class CorpusSource:
    """A catalogue with its log, both split into train, validation and test.

    `train_rows` may be trained on, validation searches `validation_rows`, the test searches `test_rows`.
    """

    examples: Sequence[Example]
    train: QueryLog
    validation: QueryLog
    test: QueryLog
    train_rows: NDArray[np.int64]
    validation_rows: NDArray[np.int64]
    test_rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class InteractionTable:
    """Interactions (n,): the query's number (see `Corpus.query_texts`), the item's row, the sampling weight."""

    query: NDArray[np.int64]
    item: NDArray[np.int64]
    weight: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Corpus:
    """`photos` is float16 (items, features), or uint8 (items, side, side, 3) for an image tower that is trained.

    `validation_items` are the rows that validation searches. `plain_vectors` are unit, float32 (plain, TEXT_DIM).
    """

    titles: FeatureStates
    has_title: NDArray[np.bool_]
    photos: NDArray[Any]
    has_photo: NDArray[np.bool_]
    queries: FeatureStates
    train: InteractionTable
    validation: InteractionTable
    validation_items: NDArray[np.int64]
    plain: FeatureStates
    plain_vectors: NDArray[np.float32]
    cuts: FeatureStates | None = None
    """For each product about half of its title's words."""

    @property
    def positives(self) -> Positives:
        """The positives of every training query."""
        count = len(self.queries) + len(self.titles)
        return Positives(self.train.query, self.train.item, queries=count, items=len(self.titles))

    def query_texts(self, numbers: NDArray[np.int64]) -> TextInput:
        """Queries by number: first those of the log, then each product's title as a query."""
        of_log, count = numbers < len(self.queries), len(self.queries)
        return _overlaid(
            self.queries.text(numbers.clip(max=count - 1), of_log),
            self.titles.text((numbers - count).clip(min=0), ~of_log),
        )

    def title_texts(self, rows: NDArray[np.int64], titled: NDArray[np.bool_], cut: NDArray[np.bool_]) -> TextInput:
        """Titles of products: empty unless `titled`, shortened if `cut`."""
        if self.cuts is None:
            return self.titles.text(rows, titled)
        return _overlaid(self.titles.text(rows, titled & ~cut), self.cuts.text(rows, titled & cut))

    def query_tokens(self, number: int) -> list[int]:
        count = len(self.queries)
        return self.queries.tokens(number) if number < count else self.titles.tokens(number - count)

    def vocabulary(self) -> Tensor:
        """The ids of the word pieces that titles and queries use, ascending."""
        ids = np.unique(np.concatenate([self.titles.ids, self.queries.ids]))
        return torch.from_numpy(ids[ids >= FIRST_WORD].astype(np.int64))


def _overlaid(first: TextInput, second: TextInput) -> TextInput:
    """Merge texts of which at most one has tokens in each row, padded to the longest."""
    longest = max(first.seen.shape[1], second.seen.shape[1])
    states, seen = [], []
    for text in (first, second):
        missing = longest - text.seen.shape[1]
        states.append(pad(text.states, (0, 0, 0, missing)))
        seen.append(pad(text.seen, (0, missing)))
    return TextInput(states[0] + states[1], seen[0] | seen[1])


def build_corpus(
    sources: Sequence[CorpusSource], recipe: Recipe, backbones: Backbones, *, cache: Path, on_progress: Progress
) -> Corpus:
    """Compute the frozen backbones' features of everything, or read them from the folder `cache`."""
    examples = [example for source in sources for example in source.examples]
    photos = [example.photo for example in examples]
    query_numbers: dict[str, int] = {}
    first_rows = np.cumsum([0, *(len(source.examples) for source in sources)])
    train = _joined([source.train for source in sources], first_rows, query_numbers)
    validation = _joined([source.validation for source in sources], first_rows, query_numbers)
    train = _with_sampling_weights(train, sources, first_rows, first_title=len(query_numbers), data=recipe.data)
    shape, layers = recipe.towers, TEXT_LAYERS - recipe.towers.text_layers
    options = {"backbones": backbones, "cache": cache, "on_progress": on_progress}
    plain = plain_texts(backbones, recipe.data.plain_texts, recipe.seed)
    photo_features = photo_pixels if shape.image_tower else photo_grids
    means = text_states(plain, **options).means() if plain else np.zeros((0, 1), np.float32)  # type: ignore[arg-type]
    titles = [example.title for example in examples]
    cuts = cut_titles(titles, recipe.seed) if recipe.data.cut_title else None
    return Corpus(
        titles=text_states(titles, layers=layers, **options),  # type: ignore[arg-type]
        has_title=np.array([bool(tidy(example.title)) for example in examples]),
        photos=photo_features(photos, side=shape.photo_side, **options),  # type: ignore[arg-type]
        has_photo=np.array([bool(photo) for photo in photos]),
        queries=text_states(list(query_numbers), layers=layers, **options),  # type: ignore[arg-type]
        train=train,
        validation=validation,
        validation_items=np.concatenate(
            [source.validation_rows + first for source, first in zip(sources, first_rows, strict=False)]
        ),
        plain=text_states(plain, layers=layers, **options),  # type: ignore[arg-type]
        plain_vectors=means / np.linalg.norm(means, axis=1, keepdims=True),
        cuts=text_states(cuts, layers=layers, **options) if cuts else None,  # type: ignore[arg-type]
    )


def _joined(logs: Sequence[QueryLog], first_rows: NDArray[np.int64], query_numbers: dict[str, int]) -> InteractionTable:
    """The logs as one table. A text in two logs is one query with the positives of both; new texts get numbers."""
    query, item, weight = [], [], []
    for log, first in zip(logs, first_rows, strict=False):
        numbers = [query_numbers.setdefault(tidy(text), len(query_numbers)) for text in log.queries]
        query.append(np.array(numbers, np.int64)[log.query])
        item.append(log.item.astype(np.int64) + first)
        weight.append(log.weight.astype(np.float64))
    return InteractionTable(np.concatenate(query), np.concatenate(item), np.concatenate(weight))


def _with_sampling_weights(
    log: InteractionTable,
    sources: Sequence[CorpusSource],
    first_rows: NDArray[np.int64],
    *,
    first_title: int,
    data: DataConfig,
) -> InteractionTable:
    """The interactions of the log, and of titles as queries, with tempered weights that sum to one."""
    catalogue = np.searchsorted(first_rows, log.item, side="right") - 1
    tempered = log.weight**data.popularity
    weight = tempered / np.bincount(catalogue, tempered)[catalogue]
    # By square root, so that a catalogue a hundred times as large is drawn from only ten times as often.
    shares = np.array([len(source.examples) for source in sources]) ** 0.5
    weight = (1 - data.title_query_share) * weight * (shares / shares.sum())[catalogue]
    if not data.title_query_share:
        return InteractionTable(log.query, log.item, weight)
    titles, items, weights = [], [], []
    for source, first, share in zip(sources, first_rows, shares / shares.sum(), strict=False):
        texts = [tidy(source.examples[row].title) for row in source.train_rows]
        titled = np.array([bool(text) for text in texts], np.bool_)
        # Products of one title share one query, numbered by the first of them.
        numbers: dict[str, int] = {}
        for text, row in zip(texts, source.train_rows.tolist(), strict=True):
            numbers.setdefault(text, row)
        titles.append(first_title + np.array([numbers[text] for text in texts], np.int64)[titled] + first)
        items.append(source.train_rows[titled] + first)
        weights.append(np.full(titled.sum(), data.title_query_share * share / max(titled.sum(), 1)))
    return InteractionTable(
        np.concatenate([log.query, *titles]),
        np.concatenate([log.item, *items]),
        np.concatenate([weight, *weights]),
    )


def cut_titles(titles: Sequence[str], seed: int) -> list[str]:
    """About half of each title's words, in their order, and at least one of a title that has words."""
    rng = np.random.default_rng(seed)
    shortened = []
    for title in titles:
        words = tidy(title).split(" ")
        selected = rng.random(len(words)) < 0.5
        selected[rng.integers(len(words))] = True
        shortened.append(" ".join(word for word, keep in zip(words, selected, strict=True) if keep))
    return shortened


def plain_texts(backbones: Backbones, count: int, seed: int) -> list[str]:
    """Words and word pairs of the tokenizer's vocabulary: general texts, independent of the catalogue."""
    words = sorted(
        word for word in backbones.tokenizer.get_vocab() if word.isalpha() and word.isascii() and len(word) > 2
    )
    rng, half = np.random.default_rng(seed), count // 2
    singles = [words[i] for i in rng.choice(len(words), half, replace=False)]
    pairs = [f"{words[i]} {words[j]}" for i, j in rng.integers(len(words), size=(half, 2))]
    return singles + pairs
