"""Parts of a catalogue and of its log to train, validate and test on, with nothing of one in another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from training.data.products import Example
from training.data.query_log import ClickLog

PARTS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)

Parts = NDArray[np.int8]
"""(n,): 0 to train on, 1 to validate on, 2 to test on."""


@dataclass(frozen=True, slots=True)
class SplitPolicy:
    """The share of products to validate and to test on, at least; the rest is to train on."""

    validation: float = 0.1
    test: float = 0.1
    seed: int = 0


def components(examples: Sequence[Example]) -> NDArray[np.int64]:
    """For each product the number of its component: products joined by a shared brand, title or photo."""
    parent = list(range(len(examples)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, example in enumerate(examples):
        for mark in marks(example):
            parent[root(i)] = root(first.setdefault(mark, i))
    return np.array([root(i) for i in range(len(examples))], np.int64)


def marks(example: Example) -> list[tuple[str, str]]:
    """What no two products of different parts may share: brand, title, the pixels of the photo, where there are any."""
    title = " ".join(example.title.casefold().split())
    said = (("brand", example.brand.strip().casefold()), ("title", title), ("photo", example.pixels))
    return [mark for mark in said if mark[1]]


def split(examples: Sequence[Example], *, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices to train on and indices held back, at least `share` of all, by whole components."""
    parts = parts_of(examples, SplitPolicy(validation=0.0, test=share, seed=seed))
    return np.flatnonzero(parts == TRAIN), np.flatnonzero(parts == TEST)


def parts_of(examples: Sequence[Example], policy: SplitPolicy = SplitPolicy()) -> Parts:
    """The part of each product. Whole components go to one part, drawn by the seed: the test's first."""
    component = components(examples)
    names, sizes = np.unique(component, return_counts=True)
    order = np.random.default_rng(policy.seed).permutation(len(names))
    ends = np.cumsum(sizes[order])
    starts = ends - sizes[order]
    held, both = policy.test * len(examples), (policy.test + policy.validation) * len(examples)
    drawn = np.where(starts < held, TEST, np.where(starts < both, VALIDATION, TRAIN)).astype(np.int8)
    part = np.empty(len(names), np.int8)
    part[order] = drawn
    return part[np.searchsorted(names, component)]


@dataclass(frozen=True, slots=True)
class SplitLog:
    """The log of each part, and how many interactions were left out: their query and product are of different parts."""

    parts: tuple[ClickLog, ClickLog, ClickLog]
    crossing: int


def split_log(log: ClickLog, parts: Parts, *, seed: int) -> SplitLog:
    """A log for each part of the catalogue: a part's queries are asked in no other, and find its own products alone.

    A query that led to products of several parts goes to one of them, drawn by the seed and its own words in proportion
    to its weight there, so that it stays where it is when others come or go.
    """
    weight = np.zeros((len(log.queries), len(PARTS)))
    np.add.at(weight, (log.query, parts[log.item]), log.weight)
    upto = np.cumsum(weight, axis=1) / np.maximum(weight.sum(1, keepdims=True), 1e-30)
    chance = np.array([chance_of(query.casefold(), seed) for query in log.queries])
    home = (chance[:, None] >= upto).sum(1).clip(max=TEST)
    own = home[log.query] == parts[log.item]
    chosen = [log.of(own & (home[log.query] == part)) for part in range(len(PARTS))]
    return SplitLog((chosen[TRAIN], chosen[VALIDATION], chosen[TEST]), int(len(own) - own.sum()))


def chance_of(text: str, seed: int) -> float:
    """A number from 0 to 1 that depends on the text and the seed alone."""
    digest = blake2b(f"{seed} {text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
