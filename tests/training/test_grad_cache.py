from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.training.tiny import RECIPE, trainer
from training.grad_cache import backward
from training.recipe import Recipe


def gradients(recipe: Recipe, chunk: int) -> dict[str, Tensor]:
    trained = trainer(recipe)
    batch = trained.sampler.at(0)

    def losses(outputs: object) -> Tensor:
        torch.manual_seed(7)  # QIM draws its negatives
        return torch.stack([task(outputs, batch) for task in trained.tasks.values()]).sum()

    # Initially half of the weights have no gradient, so move away from there.
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in trained.weights:
            weight.add_(0.05 * torch.randn_like(weight))
    backward(
        trained.towers, batch, losses, chunk=chunk, seed=3,
        autocast=lambda: torch.autocast("cpu", torch.bfloat16, enabled=False),
    )  # fmt: skip
    named = [*trained.towers.named_parameters(), *trained.tasks.named_parameters()]
    return {name: weight.grad for name, weight in named if weight.grad is not None}


@pytest.mark.parametrize("chunk", [1, 5])
def test_the_gradient_in_chunks_is_that_of_the_whole_batch(chunk: int) -> None:
    whole, cached = gradients(RECIPE, 0), gradients(RECIPE, chunk)
    assert whole.keys() == cached.keys()
    assert {name.partition(".")[0] for name in whole} >= {"stream", "mlm", "mpm", "mpm_r_patch", "qim", "qim2"}
    for name, gradient in whole.items():
        torch.testing.assert_close(cached[name], gradient, atol=2e-6, rtol=1e-4)


def test_both_runs_of_a_chunk_use_the_same_dropout() -> None:
    recipe = replace(RECIPE, towers=replace(RECIPE.towers, dropout=0.3))
    first, second = gradients(recipe, 4), gradients(recipe, 4)
    for name, gradient in first.items():
        torch.testing.assert_close(second[name], gradient, atol=0, rtol=0)
