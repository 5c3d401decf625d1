"""The contrast against the same thing written out with loops, its false negatives planted in every pool."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from encoders.towers.single_stream import TowerOutput
from training.data.batch import TrainBatch
from training.distributed import Distributed
from training.recipe import TaskWeights
from training.tasks.negatives import MemoryBank, Positives
from training.tasks.qic import QIC, am_softmax, sigmoid

POLICY = TaskWeights(scale=10.0, margin=0.2, nested=(4,), both_ways=False)
# Query 0 has the known positives 0, 4 and 6, of which 4 is in its batch and 6 in the bank.
KNOWN = Positives(np.array([0, 0, 0, 1, 2, 3]), np.array([0, 4, 6, 1, 2, 4]), queries=4, items=12)
ROWS = [0, 1, 2, 4, 0]
QUERIES = [0, 1, 2, 3, 0]
BANK_ROWS = [6, 0, 9, 1, -1]


def unit(rows: int, seed: int) -> Tensor:
    return F.normalize(torch.randn(rows, 8, generator=torch.Generator().manual_seed(seed)), dim=1)


def batch(rows: list[int] = ROWS, queries: list[int] = QUERIES) -> TrainBatch:
    nothing = torch.zeros(0, 0)
    return TrainBatch(
        {}, torch.tensor(queries), torch.tensor(rows), {}, nothing.bool(), nothing, nothing, 0, nothing
    )  # fmt: skip


def read(vectors: Tensor, seen: list[bool] | None = None) -> TowerOutput:
    there = torch.tensor(seen if seen is not None else [True] * len(vectors))[:, None]
    return TowerOutput(vectors[:, None], there, vectors)


def bank() -> MemoryBank:
    found = MemoryBank(len(BANK_ROWS), 8)
    found.vectors.copy_(unit(len(BANK_ROWS), 9))
    found.rows.copy_(torch.tensor(BANK_ROWS))
    return found


def slow(
    query: Tensor, pool: Tensor, pool_rows: list[int], *, dims: tuple[int, ...], kind: str = "am_softmax"
) -> float:
    """The formula, a query and a negative at a time."""
    losses = []
    for dim in dims:
        for i, (number, own) in enumerate(zip(QUERIES, ROWS, strict=True)):

            def cos(j: int, i: int = i, dim: int = dim) -> float:
                return float(F.cosine_similarity(query[i, :dim], pool[j, :dim], dim=0))

            wrong = [
                j for j, row in enumerate(pool_rows)
                if row >= 0 and row != own and row not in KNOWN.positives(number).tolist()
            ]  # fmt: skip
            margin = 0.2 if kind == "am_softmax" else 0.0
            right = math.exp(10 * (cos(i) - margin))
            losses.append(-math.log(right / (right + sum(math.exp(10 * cos(j)) for j in wrong))))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("kind", ["am_softmax", "softmax"])
def test_the_contrast_is_its_formula_over_batch_and_bank(kind: str) -> None:
    query, item, kept = unit(5, 0), unit(5, 1), bank()
    contrast = QIC("item", replace(POLICY, loss=kind), known=KNOWN, world=Distributed(), bank=kept)
    found = {"query": read(query), "item": read(item)}
    assert contrast(found, batch()).item() == pytest.approx(slow(query, item, ROWS, dims=(8, 4), kind=kind), rel=1e-5)
    contrast.bank_open = True
    pool, rows = torch.cat((item, kept.vectors)), ROWS + BANK_ROWS
    assert contrast(found, batch()).item() == pytest.approx(slow(query, pool, rows, dims=(8, 4), kind=kind), rel=1e-5)


def test_planted_false_negatives_change_nothing() -> None:
    """However near the same item or a known positive is, in the batch or in the bank, it costs the query nothing."""
    query, item, kept = unit(5, 0), unit(5, 1), bank()
    contrast = QIC("item", POLICY, known=KNOWN, world=Distributed(), bank=kept)
    contrast.bank_open = True
    only = torch.zeros(5, dtype=torch.bool)
    only[0] = True
    before = _first(contrast, query, item)
    item[3] = query[0]  # item 4, which query 0 led to as well
    item[4] = query[0]  # item 0 drawn twice
    kept.vectors[0] = kept.vectors[1] = query[0]  # items 6 and 0
    assert _first(contrast, query, item) == pytest.approx(before, rel=1e-6)
    kept.vectors[2] = query[0]  # item 9, which is wrong for it
    assert _first(contrast, query, item) > before + 1


def _first(contrast: QIC, query: Tensor, item: Tensor) -> float:
    """What the first query adds: the gradient of the loss by a weight on its own row's loss."""
    own = torch.arange(5)
    pool = torch.cat((item, contrast._bank.vectors))  # type: ignore[union-attr]
    from training.tasks.negatives import false_negatives

    excluded = false_negatives(KNOWN, torch.tensor(QUERIES), torch.tensor(ROWS), torch.tensor(ROWS + BANK_ROWS))
    return float(contrast._each(query, pool, own, excluded)[0])


def test_both_ways_asks_items_for_their_queries_and_not_for_others_that_are_right() -> None:
    query, item = unit(5, 0), unit(5, 1)
    contrast = QIC("item", replace(POLICY, nested=(), both_ways=True), known=KNOWN, world=Distributed())
    there = slow(query, item, ROWS, dims=(8,))
    back = []
    for j, row in enumerate(ROWS):
        wrong = [
            i for i, number in enumerate(QUERIES)
            if number != QUERIES[j] and ROWS[i] != row and row not in KNOWN.positives(number).tolist()
        ]  # fmt: skip
        right = math.exp(10 * (float(item[j] @ query[j]) - 0.2))
        back.append(-math.log(right / (right + sum(math.exp(10 * float(item[j] @ query[i])) for i in wrong))))
    found = contrast({"query": read(query), "item": read(item)}, batch())
    assert found.item() == pytest.approx((there + sum(back) / 5) / 2, rel=1e-5)


def test_what_has_nothing_to_see_neither_asks_nor_answers() -> None:
    query, item = unit(5, 0), unit(5, 1)
    some = [True, True, False, True, True]
    contrast = QIC("photo", replace(POLICY, both_ways=True), known=KNOWN, world=Distributed())
    found = contrast({"query": read(query), "photo": read(item, some)}, batch())
    kept = torch.tensor([0, 1, 3, 4])
    fewer = batch([ROWS[i] for i in kept.tolist()], [QUERIES[i] for i in kept.tolist()])
    expected = contrast({"query": read(query[kept]), "photo": read(item[kept])}, fewer)
    # The query of what cannot be seen is still asked of by no item that it could be wrong for.
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_sigmoid_loss_is_its_formula() -> None:
    cosines = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    own, excluded = torch.tensor([0, 2, 1]), torch.zeros(3, 4, dtype=torch.bool)
    excluded[0, 3] = True
    found = sigmoid(cosines, own, excluded, scale=8.0, bias=torch.tensor(-4.0))
    for i in range(3):
        total = 0.0
        for j in range(4):
            if j == own[i] or not excluded[i, j]:
                sign = 1 if j == own[i] else -1
                total -= math.log(1 / (1 + math.exp(-sign * (8 * float(cosines[i, j]) - 4))))
        assert float(found[i]) == pytest.approx(total, rel=1e-5)


def test_without_a_margin_it_is_the_cross_entropy() -> None:
    cosines, own = torch.rand(4, 6), torch.tensor([1, 0, 5, 2])
    found = am_softmax(cosines, own, torch.zeros(4, 6, dtype=torch.bool), scale=7.0, margin=0.0)
    torch.testing.assert_close(found, F.cross_entropy(7 * cosines, own, reduction="none"))


def test_its_gradient_is_right() -> None:
    cosines = (torch.rand(3, 5, dtype=torch.double) * 2 - 1).requires_grad_()
    own, excluded = torch.tensor([0, 4, 2]), torch.rand(3, 5) < 0.3
    assert torch.autograd.gradcheck(lambda x: am_softmax(x, own, excluded, scale=5.0, margin=0.2), (cosines,))
