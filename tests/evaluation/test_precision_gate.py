"""The precision gate on random vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from catalog.errors import InvalidInput
from evaluation.judgements import of_titles
from evaluation.precision_gate import QUERY, CatalogueVectors, GatePolicy, gate

TITLES = tuple(f"product {i}" for i in range(200))


def vectors(noise: float = 0.0, *, seed: int = 1, queries: float | None = None) -> CatalogueVectors:
    """Random directions with noise. Without it, each title's query vector is its product's."""
    directions = np.random.default_rng(0).normal(size=(len(TITLES), 32)).astype(np.float32)
    rng = np.random.default_rng(seed)

    def noisy(rows: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
        rows = rows + scale * rng.normal(size=rows.shape).astype(np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    items, query_vectors = noisy(directions, noise), noisy(directions, noise if queries is None else queries)

    def ask(texts: Sequence[str]) -> NDArray[np.float32]:
        return query_vectors[[TITLES.index(text) for text in texts]]

    return CatalogueVectors({"fused": items}, "fused", ask)


def test_the_same_vectors_pass() -> None:
    result = gate(vectors(), vectors(), of_titles(TITLES))
    assert not list(result.misses())
    assert (result.reference, result.other, result.mixed) == (1.0, 1.0, 1.0)
    assert result.cosines["fused"].low == pytest.approx(1)
    assert set(result.cosines) == {"fused", QUERY}


def test_a_little_noise_passes_and_more_misses_the_cosine() -> None:
    judged = of_titles(TITLES)
    assert not list(gate(vectors(), vectors(0.05), judged).misses())
    (first, second) = gate(vectors(), vectors(0.3), judged).misses()
    assert first.startswith("`fused` has a cosine of 0.9")
    assert second.startswith("`query` has a cosine of 0.9")


def test_lost_recall_is_reported_alone_and_mixed() -> None:
    *_, alone, mixed = gate(vectors(), vectors(3.0), of_titles(TITLES), GatePolicy(cosine=-1)).misses()
    assert "points of recall@10 are lost, and 0.5 may be" in alone
    assert "with its items and the reference's queries" in mixed


def test_a_vector_missing_in_one_model_counts_as_the_worst_and_in_both_is_ignored() -> None:
    reference, other = vectors(), vectors()
    reference.items["fused"][0] = other.items["fused"][0] = np.nan
    assert not list(gate(reference, other, of_titles(TITLES)).misses())
    other.items["fused"][1:10] = np.nan
    assert gate(reference, other, of_titles(TITLES)).cosines["fused"].low == -1


def test_a_name_without_any_vector_is_left_out() -> None:
    reference, other = vectors(), vectors()
    missing = np.full((len(TITLES), 32), np.nan, np.float32)
    both = [CatalogueVectors({**model.items, "image": missing}, "fused", model.ask) for model in (reference, other)]
    assert set(gate(*both, of_titles(TITLES)).cosines) == {"fused", QUERY}


def test_all_products_of_a_title_are_relevant_to_it() -> None:
    judged = of_titles(["Red mug", "", "Hat", "Red  mug"])
    assert judged.queries == ("Red mug", "Hat")
    assert judged.pairs.of(0).tolist() == [0, 3]
    with pytest.raises(InvalidInput):
        of_titles(["", " "])
