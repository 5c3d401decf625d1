"""Splits a catalogue and its log into disjoint parts for training, validation and test."""

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
"""(n,): 0 for training, 1 for validation, 2 for the test."""


@dataclass(frozen=True, slots=True)
class SplitPolicy:
    """The minimum shares of products for validation and test; the rest is for training."""

    validation: float = 0.1
    test: float = 0.1
    seed: int = 0


def components(examples: Sequence[Example]) -> NDArray[np.int64]:
    """For each product the number of its component: products connected by a shared brand, title or photo."""
    parent = list(range(len(examples)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, example in enumerate(examples):
        for key in shared_keys(example):
            parent[root(i)] = root(first.setdefault(key, i))
    return np.array([root(i) for i in range(len(examples))], np.int64)


def shared_keys(example: Example) -> list[tuple[str, str]]:
    """What products of different parts must not share, if not empty: brand, title, and the photo's pixels."""
    title = " ".join(example.title.casefold().split())
    keys = (("brand", example.brand.strip().casefold()), ("title", title), ("photo", example.pixels))
    return [(name, value) for name, value in keys if value]


def split(examples: Sequence[Example], *, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices for training and for the test, at least `share` of all, by whole components."""
    parts = parts_of(examples, SplitPolicy(validation=0.0, test=share, seed=seed))
    return np.flatnonzero(parts == TRAIN), np.flatnonzero(parts == TEST)


def parts_of(examples: Sequence[Example], policy: SplitPolicy = SplitPolicy()) -> Parts:
    """The part of each product. Whole components go to one part, drawn by the seed: first to the test."""
    component = components(examples)
    names, sizes = np.unique(component, return_counts=True)
    order = np.random.default_rng(policy.seed).permutation(len(names))
    ends = np.cumsum(sizes[order])
    starts = ends - sizes[order]
    test_end, validation_end = policy.test * len(examples), (policy.test + policy.validation) * len(examples)
    drawn = np.where(starts < test_end, TEST, np.where(starts < validation_end, VALIDATION, TRAIN)).astype(np.int8)
    part = np.empty(len(names), np.int8)
    part[order] = drawn
    return part[np.searchsorted(names, component)]


@dataclass(frozen=True, slots=True)
class SplitLog:
    """The log of each part, and how many interactions were dropped because query and product are in different parts."""

    parts: tuple[ClickLog, ClickLog, ClickLog]
    crossing: int


def split_log(log: ClickLog, parts: Parts, *, seed: int) -> SplitLog:
    """A log for each part of the catalogue. The parts share no query, and each query leads to products of its part.

    A query with products in several parts is assigned to one, drawn by the seed and its own words in proportion to its
    weight there. The assignment does not change if other queries are added or removed.
    """
    weight = np.zeros((len(log.queries), len(PARTS)))
    np.add.at(weight, (log.query, parts[log.item]), log.weight)
    cumulative = np.cumsum(weight, axis=1) / np.maximum(weight.sum(1, keepdims=True), 1e-30)
    chance = np.array([chance_of(query.casefold(), seed) for query in log.queries])
    query_part = (chance[:, None] >= cumulative).sum(1).clip(max=TEST)
    same_part = query_part[log.query] == parts[log.item]
    chosen = [log.subset(same_part & (query_part[log.query] == part)) for part in range(len(PARTS))]
    return SplitLog((chosen[TRAIN], chosen[VALIDATION], chosen[TEST]), int(len(same_part) - same_part.sum()))


def chance_of(text: str, seed: int) -> float:
    """A pseudo-random number from 0 to 1, given by the text and the seed."""
    digest = blake2b(f"{seed} {text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
