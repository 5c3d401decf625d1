from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.training.tiny import RECIPE, backbones, corpus
from training.distributed import Distributed
from training.grad_cache import backward
from training.recipe import Recipe
from training.trainer import begin


def gradients(recipe: Recipe, chunk: int) -> dict[str, Tensor]:
    state, draws = begin(corpus(), recipe, backbones(), Distributed())
    batch = draws.at(0)

    def losses(read: object) -> Tensor:
        torch.manual_seed(7)  # QIM draws its negatives
        return torch.stack([task(read, batch) for task in state.tasks.values()]).sum()

    # Away from the start, at which half of the weights have no gradient.
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in state.weights():
            weight.add_(0.05 * torch.randn_like(weight))
    backward(
        state.towers, batch, losses, chunk=chunk, seed=3,
        autocast=lambda: torch.autocast("cpu", torch.bfloat16, enabled=False),
    )  # fmt: skip
    named = [*state.towers.named_parameters(), *state.tasks.named_parameters()]
    return {name: weight.grad for name, weight in named if weight.grad is not None}


@pytest.mark.parametrize("chunk", [1, 5])
def test_in_chunks_the_gradient_of_all_tasks_is_that_of_the_whole_batch(chunk: int) -> None:
    whole, cached = gradients(RECIPE, 0), gradients(RECIPE, chunk)
    assert whole.keys() == cached.keys()
    assert {name.partition(".")[0] for name in whole} >= {"stream", "mlm", "mpm", "mpm_r_patch", "qim", "qim2"}
    for name, gradient in whole.items():
        torch.testing.assert_close(cached[name], gradient, atol=2e-6, rtol=1e-4)


def test_a_chunk_drops_out_the_same_both_times() -> None:
    recipe = replace(RECIPE, towers=replace(RECIPE.towers, dropout=0.3))
    one, two = gradients(recipe, 4), gradients(recipe, 4)
    for name, gradient in one.items():
        torch.testing.assert_close(two[name], gradient, atol=0, rtol=0)
