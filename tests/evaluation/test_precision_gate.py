"""The gate of precisions, on vectors that are made up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from catalog.errors import InvalidInput
from evaluation.judgements import of_titles
from evaluation.precision_gate import QUERY, CatalogueVectors, GatePolicy, gate

TITLES = tuple(f"product {i}" for i in range(200))


def made(noise: float = 0.0, *, seed: int = 1, queries: float | None = None) -> CatalogueVectors:
    """Random directions, of which each title's query is its product's, with so much noise on all of them."""
    plain = np.random.default_rng(0).normal(size=(len(TITLES), 32)).astype(np.float32)
    draw = np.random.default_rng(seed)

    def noisy(rows: NDArray[np.float32], much: float) -> NDArray[np.float32]:
        rows = rows + much * draw.normal(size=rows.shape).astype(np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    items, asked = noisy(plain, noise), noisy(plain, noise if queries is None else queries)

    def ask(texts: Sequence[str]) -> NDArray[np.float32]:
        return asked[[TITLES.index(text) for text in texts]]

    return CatalogueVectors({"fused": items}, "fused", ask)


def test_the_same_vectors_pass() -> None:
    found = gate(made(), made(), of_titles(TITLES))
    assert not list(found.misses())
    assert (found.reference, found.other, found.mixed) == (1.0, 1.0, 1.0)
    assert found.nearness["fused"].low == pytest.approx(1)
    assert set(found.nearness) == {"fused", QUERY}


def test_a_little_noise_passes_and_more_misses_the_cosine() -> None:
    judged = of_titles(TITLES)
    assert not list(gate(made(), made(0.05), judged).misses())
    (first, second) = gate(made(), made(0.3), judged).misses()
    assert first.startswith("`fused` has a cosine of 0.9")
    assert second.startswith("`query` has a cosine of 0.9")


def test_what_is_lost_of_recall_is_said_for_both_alone_and_mixed() -> None:
    *_, alone, mixed = gate(made(), made(3.0), of_titles(TITLES), GatePolicy(cosine=-1)).misses()
    assert "points of recall@10 are lost, and 0.5 may be" in alone
    assert "with its items and the reference's queries" in mixed


def test_a_vector_that_is_missing_counts_as_the_worst_and_one_that_neither_has_not_at_all() -> None:
    reference, other = made(), made()
    reference.items["fused"][0] = other.items["fused"][0] = np.nan
    assert not list(gate(reference, other, of_titles(TITLES)).misses())
    other.items["fused"][1:10] = np.nan
    assert gate(reference, other, of_titles(TITLES)).nearness["fused"].low == -1


def test_a_name_without_any_vector_is_left_out() -> None:
    reference, other = made(), made()
    none = np.full((len(TITLES), 32), np.nan, np.float32)
    both = [CatalogueVectors({**one.items, "image": none}, "fused", one.ask) for one in (reference, other)]
    assert set(gate(*both, of_titles(TITLES)).nearness) == {"fused", QUERY}


def test_titles_as_queries_are_right_for_all_that_have_them() -> None:
    judged = of_titles(["Red mug", "", "Hat", "Red  mug"])
    assert judged.queries == ("Red mug", "Hat")
    assert judged.pairs.of(0).tolist() == [0, 3]
    with pytest.raises(InvalidInput):
        of_titles(["", " "])
