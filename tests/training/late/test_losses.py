"""The losses against the same thing written out with loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from training.late.losses import contrastive, same_similarities


def unit(rows: int, dim: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def slow(asking: torch.Tensor, answering: torch.Tensor, right: torch.Tensor, temperature: float) -> float:
    def one_way(a: torch.Tensor, b: torch.Tensor, yes: torch.Tensor) -> float:
        losses = []
        for i in range(len(a)):
            scores = [float(a[i] @ b[j]) / temperature for j in range(len(b))]
            whole = math.log(sum(math.exp(score) for score in scores))
            mine = [whole - scores[j] for j in range(len(b)) if yes[i, j]]
            if mine:
                losses.append(sum(mine) / len(mine))
        return sum(losses) / len(losses)

    return (one_way(asking, answering, right) + one_way(answering, asking, right.T)) / 2


def test_the_contrastive_loss_is_what_it_says() -> None:
    asking, answering = unit(5, 8, 0), unit(6, 8, 1)
    right = torch.rand(5, 6, generator=torch.Generator().manual_seed(2)) < 0.3
    right[0] = False
    expected = slow(asking, answering, right, 0.1)
    assert contrastive(asking, answering, right, torch.tensor(0.1)).item() == pytest.approx(expected, rel=1e-5)


def test_with_one_right_answer_each_it_is_the_cross_entropy() -> None:
    asking, answering = unit(4, 8, 0), unit(4, 8, 1)
    logits = asking @ answering.T / 0.05
    own = torch.arange(4)
    expected = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    torch.testing.assert_close(
        contrastive(asking, answering, torch.eye(4, dtype=torch.bool), torch.tensor(0.05)), expected
    )


def test_nothing_right_is_no_loss_and_has_a_gradient() -> None:
    asking = unit(3, 4, 0).requires_grad_()
    loss = contrastive(asking, unit(2, 4, 1), torch.zeros(3, 2, dtype=torch.bool), torch.tensor(0.1))
    loss.backward()
    assert loss.item() == 0


def test_a_rotation_keeps_all_similarities_and_a_squeeze_does_not() -> None:
    before = unit(6, 8, 0)
    rotation, _ = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))
    assert same_similarities(before, 3 * before @ rotation).item() < 1e-10
    assert same_similarities(before, before[:, :2]).item() > 0.05
