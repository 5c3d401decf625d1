"""The contrast against the same formula in loops, with false negatives planted in every pool."""

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
from training.tasks.negatives import MemoryBank, Positives, false_negatives
from training.tasks.qic import QIC, am_softmax, sigmoid

POLICY = TaskWeights(scale=10.0, margin=0.2, nested=(4,), symmetric=False)
# Query 0 has the known positives 0, 4 and 6, of which 4 is in its batch and 6 in the bank.
POSITIVES = Positives(np.array([0, 0, 0, 1, 2, 3]), np.array([0, 4, 6, 1, 2, 4]), queries=4, items=12)
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


def output(vectors: Tensor, seen: list[bool] | None = None) -> TowerOutput:
    visible = torch.tensor(seen if seen is not None else [True] * len(vectors))[:, None]
    return TowerOutput(vectors[:, None], visible, vectors)


def bank() -> MemoryBank:
    filled = MemoryBank(len(BANK_ROWS), 8)
    filled.vectors.copy_(unit(len(BANK_ROWS), 9))
    filled.rows.copy_(torch.tensor(BANK_ROWS))
    return filled


def slow(
    query: Tensor, pool: Tensor, pool_rows: list[int], *, dims: tuple[int, ...], kind: str = "am_softmax"
) -> float:
    """The formula, one query and one negative at a time."""
    losses = []
    for dim in dims:
        for i, (number, own) in enumerate(zip(QUERIES, ROWS, strict=True)):

            def cos(j: int, i: int = i, dim: int = dim) -> float:
                return float(F.cosine_similarity(query[i, :dim], pool[j, :dim], dim=0))

            negatives = [
                j for j, row in enumerate(pool_rows)
                if row >= 0 and row != own and row not in POSITIVES.positives(number).tolist()
            ]  # fmt: skip
            margin = 0.2 if kind == "am_softmax" else 0.0
            positive = math.exp(10 * (cos(i) - margin))
            losses.append(-math.log(positive / (positive + sum(math.exp(10 * cos(j)) for j in negatives))))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("kind", ["am_softmax", "softmax"])
def test_the_contrast_is_its_formula_over_batch_and_bank(kind: str) -> None:
    query, item, memory = unit(5, 0), unit(5, 1), bank()
    contrast = QIC("item", replace(POLICY, loss=kind), positives=POSITIVES, distributed=Distributed(), bank=memory)
    outputs = {"query": output(query), "item": output(item)}
    assert contrast(outputs, batch()).item() == pytest.approx(slow(query, item, ROWS, dims=(8, 4), kind=kind), rel=1e-5)
    contrast.bank_open = True
    pool, rows = torch.cat((item, memory.vectors)), ROWS + BANK_ROWS
    assert contrast(outputs, batch()).item() == pytest.approx(slow(query, pool, rows, dims=(8, 4), kind=kind), rel=1e-5)


def test_planted_false_negatives_change_nothing() -> None:
    """The same item or a known positive, in the batch or the bank, never adds to the query's loss."""
    query, item, memory = unit(5, 0), unit(5, 1), bank()
    contrast = QIC("item", POLICY, positives=POSITIVES, distributed=Distributed(), bank=memory)
    contrast.bank_open = True
    before = _first(contrast, query, item)
    item[3] = query[0]  # item 4, another positive of query 0
    item[4] = query[0]  # item 0 drawn twice
    memory.vectors[0] = memory.vectors[1] = query[0]  # items 6 and 0
    assert _first(contrast, query, item) == pytest.approx(before, rel=1e-6)
    memory.vectors[2] = query[0]  # item 9, a negative
    assert _first(contrast, query, item) > before + 1


def _first(contrast: QIC, query: Tensor, item: Tensor) -> float:
    """The loss of the first query."""
    own = torch.arange(5)
    pool = torch.cat((item, contrast._bank.vectors))  # type: ignore[union-attr]
    excluded = false_negatives(POSITIVES, torch.tensor(QUERIES), torch.tensor(ROWS), torch.tensor(ROWS + BANK_ROWS))
    return float(contrast._each(query, pool, own, excluded)[0])


def test_the_symmetric_loss_contrasts_items_with_queries() -> None:
    query, item = unit(5, 0), unit(5, 1)
    contrast = QIC("item", replace(POLICY, nested=(), symmetric=True), positives=POSITIVES, distributed=Distributed())
    forward = slow(query, item, ROWS, dims=(8,))
    backward = []
    for j, row in enumerate(ROWS):
        negatives = [
            i for i, number in enumerate(QUERIES)
            if number != QUERIES[j] and ROWS[i] != row and row not in POSITIVES.positives(number).tolist()
        ]  # fmt: skip
        positive = math.exp(10 * (float(item[j] @ query[j]) - 0.2))
        negative = sum(math.exp(10 * float(item[j] @ query[i])) for i in negatives)
        backward.append(-math.log(positive / (positive + negative)))
    loss = contrast({"query": output(query), "item": output(item)}, batch())
    assert loss.item() == pytest.approx((forward + sum(backward) / 5) / 2, rel=1e-5)


def test_an_empty_view_is_neither_anchor_nor_candidate() -> None:
    query, item = unit(5, 0), unit(5, 1)
    visible = [True, True, False, True, True]
    contrast = QIC("photo", replace(POLICY, symmetric=True), positives=POSITIVES, distributed=Distributed())
    loss = contrast({"query": output(query), "photo": output(item, visible)}, batch())
    rest = torch.tensor([0, 1, 3, 4])
    fewer = batch([ROWS[i] for i in rest.tolist()], [QUERIES[i] for i in rest.tolist()])
    expected = contrast({"query": output(query[rest]), "photo": output(item[rest])}, fewer)
    # The query of the empty view is not a negative of any item either.
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_sigmoid_loss_is_its_formula() -> None:
    cosines = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    own, excluded = torch.tensor([0, 2, 1]), torch.zeros(3, 4, dtype=torch.bool)
    excluded[0, 3] = True
    losses = sigmoid(cosines, own, excluded, scale=8.0, bias=torch.tensor(-4.0))
    for i in range(3):
        total = 0.0
        for j in range(4):
            if j == own[i] or not excluded[i, j]:
                sign = 1 if j == own[i] else -1
                total -= math.log(1 / (1 + math.exp(-sign * (8 * float(cosines[i, j]) - 4))))
        assert float(losses[i]) == pytest.approx(total, rel=1e-5)


def test_without_a_margin_the_loss_is_the_cross_entropy() -> None:
    cosines, own = torch.rand(4, 6), torch.tensor([1, 0, 5, 2])
    losses = am_softmax(cosines, own, torch.zeros(4, 6, dtype=torch.bool), scale=7.0, margin=0.0)
    torch.testing.assert_close(losses, F.cross_entropy(7 * cosines, own, reduction="none"))


def test_the_gradient_of_am_softmax_is_correct() -> None:
    cosines = (torch.rand(3, 5, dtype=torch.double) * 2 - 1).requires_grad_()
    own, excluded = torch.tensor([0, 4, 2]), torch.rand(3, 5) < 0.3
    assert torch.autograd.gradcheck(lambda x: am_softmax(x, own, excluded, scale=5.0, margin=0.2), (cosines,))
