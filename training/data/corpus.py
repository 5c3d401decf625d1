"""All that a training reads: what the backbones say of every title, photo and query, and the log."""

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
    """Interactions: arrays (n,) of rows of `queries` and of the catalogue, and weights above zero."""

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
    """A catalogue, and its log by parts: to train on, to validate on and to test on.

    `taught` are the rows that may be trained on, `shelf` those that validation searches, `tested` those of the test.
    """

    examples: Sequence[Example]
    train: QueryLog
    validation: QueryLog
    test: QueryLog
    taught: NDArray[np.int64]
    shelf: NDArray[np.int64]
    tested: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class InteractionTable:
    """Interactions (n,): a query's number (see `Corpus.asked`), an item's row, how often it is drawn beside others."""

    query: NDArray[np.int64]
    item: NDArray[np.int64]
    weight: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Corpus:
    """`photos` is float16 (items, features), or uint8 (items, side, side, 3) for an image tower that is trained.

    `shelf` are the items among which validation queries search. `plain_vectors` are unit, float32 (plain, TEXT_DIM).
    """

    titles: FeatureStates
    has_title: NDArray[np.bool_]
    photos: NDArray[Any]
    has_photo: NDArray[np.bool_]
    queries: FeatureStates
    train: InteractionTable
    validation: InteractionTable
    shelf: NDArray[np.int64]
    plain: FeatureStates
    plain_vectors: NDArray[np.float32]
    cuts: FeatureStates | None = None
    """For each product some words of its title."""

    @property
    def known(self) -> Positives:
        """What is known to be right of what is trained on."""
        count = len(self.queries) + len(self.titles)
        return Positives(self.train.query, self.train.item, queries=count, items=len(self.titles))

    def asked(self, numbers: NDArray[np.int64]) -> TextInput:
        """Queries by their numbers: those of the log, and after them each product's title as a query."""
        own, count = numbers < len(self.queries), len(self.queries)
        return either(
            self.queries.text(numbers.clip(max=count - 1), own),
            self.titles.text((numbers - count).clip(min=0), ~own),
        )

    def shown(self, rows: NDArray[np.int64], titled: NDArray[np.bool_], cut: NDArray[np.bool_]) -> TextInput:
        """Titles of products; none of those that are not `titled`, some words of those that are `cut`."""
        if self.cuts is None:
            return self.titles.text(rows, titled)
        return either(self.titles.text(rows, titled & ~cut), self.cuts.text(rows, titled & cut))

    def tokens_asked(self, number: int) -> list[int]:
        count = len(self.queries)
        return self.queries.tokens(number) if number < count else self.titles.tokens(number - count)

    def words(self) -> Tensor:
        """The word pieces that titles and queries use, ascending ids."""
        ids = np.unique(np.concatenate([self.titles.ids, self.queries.ids]))
        return torch.from_numpy(ids[ids >= FIRST_WORD].astype(np.int64))


def either(one: TextInput, other: TextInput) -> TextInput:
    """Texts of which in each row one has tokens at most, as one, padded to the longest."""
    longest = max(one.seen.shape[1], other.seen.shape[1])
    states, seen = [], []
    for text in (one, other):
        missing = longest - text.seen.shape[1]
        states.append(pad(text.states, (0, 0, 0, missing)))
        seen.append(pad(text.seen, (0, missing)))
    return TextInput(states[0] + states[1], seen[0] | seen[1])


def corpus(
    sources: Sequence[CorpusSource], recipe: Recipe, backbones: Backbones, *, cache: Path, told: Progress
) -> Corpus:
    """Run the frozen parts of the backbones over everything, once: the cache keeps it."""
    examples = [example for source in sources for example in source.examples]
    photos = [example.photo for example in examples]
    texts: dict[str, int] = {}
    firsts = np.cumsum([0, *(len(source.examples) for source in sources)])
    train = _joined([source.train for source in sources], firsts, texts)
    validation = _joined([source.validation for source in sources], firsts, texts)
    train = _drawn(train, sources, firsts, first_title=len(texts), data=recipe.data)
    shape, layers = recipe.towers, TEXT_LAYERS - recipe.towers.text_layers
    reading = {"backbones": backbones, "cache": cache, "told": told}
    plain = plain_texts(backbones, recipe.data.plain_texts, recipe.seed)
    take = photo_pixels if shape.image_tower else photo_grids
    means = text_states(plain, **reading).means() if plain else np.zeros((0, 1), np.float32)  # type: ignore[arg-type]
    titles = [example.title for example in examples]
    cuts = cut(titles, recipe.seed) if recipe.data.cut_title else None
    return Corpus(
        titles=text_states(titles, layers=layers, **reading),  # type: ignore[arg-type]
        has_title=np.array([bool(tidy(example.title)) for example in examples]),
        photos=take(photos, side=shape.photo_side, **reading),  # type: ignore[arg-type]
        has_photo=np.array([bool(photo) for photo in photos]),
        queries=text_states(list(texts), layers=layers, **reading),  # type: ignore[arg-type]
        train=train,
        validation=validation,
        shelf=np.concatenate([source.shelf + first for source, first in zip(sources, firsts, strict=False)]),
        plain=text_states(plain, layers=layers, **reading),  # type: ignore[arg-type]
        plain_vectors=means / np.linalg.norm(means, axis=1, keepdims=True),
        cuts=text_states(cuts, layers=layers, **reading) if cuts else None,  # type: ignore[arg-type]
    )


def _joined(logs: Sequence[QueryLog], firsts: NDArray[np.int64], texts: dict[str, int]) -> InteractionTable:
    """The logs as one. A text that two of them ask is one query, whose positives are those of both."""
    query, item, weight = [], [], []
    for log, first in zip(logs, firsts, strict=False):
        number = np.array([texts.setdefault(tidy(text), len(texts)) for text in log.queries], np.int64)
        query.append(number[log.query])
        item.append(log.item.astype(np.int64) + first)
        weight.append(log.weight.astype(np.float64))
    return InteractionTable(np.concatenate(query), np.concatenate(item), np.concatenate(weight))


def _drawn(
    part: InteractionTable,
    sources: Sequence[CorpusSource],
    firsts: NDArray[np.int64],
    *,
    first_title: int,
    data: DataConfig,
) -> InteractionTable:
    """The interactions of the log, tempered, and of titles as queries, with how often each is drawn."""
    of = np.searchsorted(firsts, part.item, side="right") - 1
    tempered = part.weight**data.popularity
    chance = tempered / np.bincount(of, tempered)[of]
    # A catalogue a hundred times as large is drawn from ten times as often: the small one is not drowned.
    shares = np.array([len(source.examples) for source in sources]) ** 0.5
    log = InteractionTable(part.query, part.item, (1 - data.ask_title) * chance * (shares / shares.sum())[of])
    if not data.ask_title:
        return log
    titles, items, weights = [], [], []
    for source, first, share in zip(sources, firsts, shares / shares.sum(), strict=False):
        said = [tidy(source.examples[row].title) for row in source.taught]
        kept = np.array([bool(title) for title in said], np.bool_)
        same: dict[str, int] = {}
        titles.append(
            np.array([same.setdefault(title, int(row)) for title, row in zip(said, source.taught, strict=True)])[kept]
            + first
        )
        items.append(source.taught[kept] + first)
        weights.append(np.full(kept.sum(), data.ask_title * share / max(kept.sum(), 1)))
    return InteractionTable(
        np.concatenate([log.query, *(first_title + some for some in titles)]),
        np.concatenate([log.item, *items]),
        np.concatenate([log.weight, *weights]),
    )


def cut(titles: Sequence[str], seed: int) -> list[str]:
    """Of each title about half of the words, in their order, at least one where there are any."""
    draw = np.random.default_rng(seed)
    out = []
    for title in titles:
        words = tidy(title).split(" ")
        kept = draw.random(len(words)) < 0.5
        kept[draw.integers(len(words))] = True
        out.append(" ".join(word for word, keep in zip(words, kept, strict=True) if keep))
    return out


def plain_texts(backbones: Backbones, count: int, seed: int) -> list[str]:
    """Words and pairs of words of the tokenizer's own vocabulary: texts about anything, of no shop."""
    words = sorted(
        word for word in backbones.tokenizer.get_vocab() if word.isalpha() and word.isascii() and len(word) > 2
    )
    draw, half = np.random.default_rng(seed), count // 2
    some = [words[i] for i in draw.choice(len(words), half, replace=False)]
    pairs = [f"{words[i]} {words[j]}" for i, j in draw.integers(len(words), size=(half, 2))]
    return some + pairs
