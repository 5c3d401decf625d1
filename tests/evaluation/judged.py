"""Judgements and random rankings for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluation.judgements import Judgements, Pairs


def pairs(rows: list[tuple[int, int]]) -> Pairs:
    return Pairs(np.array([q for q, _ in rows], np.int32), np.array([i for _, i in rows], np.int32))


def judgements(
    grades: list[dict[int, float]],
    *,
    texts: list[str] | None = None,
    left_out: list[tuple[int, int]] | None = None,
    groups: dict[str, list[bool]] | None = None,
) -> Judgements:
    """Judgements from the grades by item of each query."""
    graded = [(q, i, grade) for q, by_item in enumerate(grades) for i, grade in sorted(by_item.items())]
    return Judgements(
        names=tuple(f"q{i}" for i in range(len(grades))),
        queries=tuple(texts or [f"query {i}" for i in range(len(grades))]),
        pairs=pairs([(q, i) for q, i, _ in graded]),
        grade=np.array([grade for *_, grade in graded], np.float32),
        left_out=pairs(left_out or []),
        groups={name: np.array(mask) for name, mask in (groups or {}).items()},
    )


def drawn(seed: int, *, queries: int = 20, items: int = 60, depth: int = 30) -> tuple[Judgements, NDArray[np.int32]]:
    """Grades of 1 to 3, and rankings whose last places may be empty."""
    rng = np.random.default_rng(seed)
    grades = [
        {int(i): float(rng.integers(1, 4)) for i in rng.choice(items, rng.integers(1, 12), replace=False)}
        for _ in range(queries)
    ]
    ranking = np.stack([rng.choice(items, depth, replace=False) for _ in range(queries)]).astype(np.int32)
    for row in ranking:
        row[depth - int(rng.integers(0, depth)) :] = -1
    return judgements(grades), ranking
