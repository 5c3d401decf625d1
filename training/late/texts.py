"""What products are asked for by: titles, pieces of titles, short phrases of attributes; and who answers a text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from encoders.preprocessing import tidy
from training.data import Example
from training.late.recipe import Recipe

_WORD = re.compile(r"[a-z0-9]+")
# Terms are told apart by their hash; among the few hundred terms a batch holds, collisions are rare.
BUCKETS = 2048


def terms(text: str) -> frozenset[int]:
    """The words of a text as buckets, indifferent to case, hyphens and a plural's s."""
    words = _WORD.findall(text.lower().replace("-", "").replace("'", ""))
    return frozenset(crc32(_singular(word).encode()) % BUCKETS for word in words)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


@dataclass(frozen=True, slots=True)
class Pool:
    """Distinct texts, and for each product which of them are its title, its fragments and its phrases.

    `answers` is bool (products, BUCKETS): the terms of its title and facets. `asks` is bool (texts, BUCKETS). A product
    answers a text that asks for no term it lacks.
    """

    texts: tuple[str, ...]
    title: NDArray[np.int64]
    fragments: tuple[tuple[int, ...], ...]
    phrases: tuple[tuple[int, ...], ...]
    answers: NDArray[np.bool_]
    asks: NDArray[np.bool_]


def pool(examples: Sequence[Example], recipe: Recipe) -> Pool:
    """All texts a training run may use, drawn by the recipe's seed."""
    draw = np.random.default_rng(recipe.seed)
    number: dict[str, int] = {}

    def known(text: str) -> int:
        return number.setdefault(text, len(number))

    titles, fragments, phrases = [], [], []
    for example in examples:
        titles.append(known(tidy(example.title)))
        fragments.append(tuple(known(text) for text in _fragments(example.title, recipe.fragments, draw)))
        phrases.append(tuple(known(text) for text in _phrases(example, recipe, draw)))
    texts = tuple(number)
    said = [" ".join((example.title, *example.facets.values())) for example in examples]
    return Pool(texts, np.array(titles), tuple(fragments), tuple(phrases), _bits(said), _bits(texts))


def _fragments(title: str, count: int, draw: np.random.Generator) -> list[str]:
    """Pieces of one to four neighbouring words, and the title without its brand."""
    words = tidy(title).split(" ")
    if len(words) < 2:
        return []
    pieces = [" ".join(words[1:])]
    for _ in range(count - 1):
        length = int(draw.integers(1, min(4, len(words) - 1) + 1))
        start = int(draw.integers(0, len(words) - length + 1))
        pieces.append(" ".join(words[start : start + length]))
    return [piece.lower() if draw.random() < 0.5 else piece for piece in pieces]


def _phrases(example: Example, recipe: Recipe, draw: np.random.Generator) -> list[str]:
    said = []
    for facets in recipe.phrases:
        if all(facet in example.facets for facet in facets):
            words = " ".join(example.facets[facet] for facet in facets).lower()
            said.append(
                words[:-1] if words.endswith("s") and not words.endswith("ss") and draw.random() < 0.5 else words
            )
    return said


def _bits(texts: Sequence[str]) -> NDArray[np.bool_]:
    bits = np.zeros((len(texts), BUCKETS), np.bool_)
    for row, text in zip(bits, texts, strict=True):
        row[list(terms(text))] = True
    return bits
