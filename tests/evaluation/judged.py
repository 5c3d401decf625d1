"""Judgements and rankings drawn at random, for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluation.judgements import Judgements, Pairs


def pairs(found: list[tuple[int, int]]) -> Pairs:
    return Pairs(np.array([q for q, _ in found], np.int32), np.array([i for _, i in found], np.int32))


def judgements(
    grades: list[dict[int, float]],
    *,
    texts: list[str] | None = None,
    left_out: list[tuple[int, int]] | None = None,
    groups: dict[str, list[bool]] | None = None,
) -> Judgements:
    """For each query the grades of items."""
    known = [(q, i, grade) for q, given in enumerate(grades) for i, grade in sorted(given.items())]
    return Judgements(
        names=tuple(f"q{i}" for i in range(len(grades))),
        queries=tuple(texts or [f"query {i}" for i in range(len(grades))]),
        pairs=pairs([(q, i) for q, i, _ in known]),
        grade=np.array([grade for *_, grade in known], np.float32),
        left_out=pairs(left_out or []),
        groups={name: np.array(there) for name, there in (groups or {}).items()},
    )


def drawn(seed: int, *, queries: int = 20, items: int = 60, depth: int = 30) -> tuple[Judgements, NDArray[np.int32]]:
    """Some grades of 1 to 3, and rankings of which the last places may be empty."""
    draw = np.random.default_rng(seed)
    grades = [
        {int(i): float(draw.integers(1, 4)) for i in draw.choice(items, draw.integers(1, 12), replace=False)}
        for _ in range(queries)
    ]
    ranking = np.stack([draw.choice(items, depth, replace=False) for _ in range(queries)]).astype(np.int32)
    for row in ranking:
        row[depth - int(draw.integers(0, depth)) :] = -1
    return judgements(grades), ranking
