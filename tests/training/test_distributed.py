"""CDNS: several processes on parts of a batch have the loss and gradient of one process on the whole batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, multiprocessing, nn
from torch import distributed as torch_distributed
from torch.nn import functional as F

from encoders.towers.single_stream import TowerOutput
from training.data.batch import TrainBatch
from training.distributed import Distributed
from training.recipe import TaskWeights
from training.tasks.negatives import Positives
from training.tasks.qic import QIC

EACH, DIM = 4, 8
POSITIVES = Positives(np.arange(20) % 7, np.arange(20) % 11, queries=7, items=11)


class TwoTowers(nn.Module):
    """Two towers of one layer each."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.query, self.item = nn.Linear(6, DIM), nn.Linear(6, DIM)

    def read(self, x: Tensor, visible: Tensor) -> dict[str, TowerOutput]:
        query, item = (F.normalize(line(x), dim=1) for line in (self.query, self.item))
        return {
            "query": TowerOutput(query[:, None], visible[:, None] | True, query),
            "item": TowerOutput(item[:, None], visible[:, None], item),
        }


def loss_and_gradient(distributed: Distributed, rows: slice, size: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(EACH * size, 6, generator=generator)
    visible = torch.rand(EACH * size, generator=generator) < 0.8
    queries = torch.randint(7, (EACH * size,), generator=generator)
    items = torch.randint(11, (EACH * size,), generator=generator)
    towers, nothing = TwoTowers(), torch.zeros(0, 0)
    batch = TrainBatch({}, queries[rows], items[rows], {}, nothing.bool(), nothing, nothing, 0, nothing)
    task = QIC("item", TaskWeights(nested=(4,)), positives=POSITIVES, distributed=distributed)
    loss = task(towers.read(x[rows], visible[rows]), batch)
    loss.backward()
    gradients = {name: weight.grad for name, weight in towers.named_parameters() if weight.grad is not None}
    mean = loss.detach().clone()
    distributed.average([*gradients.values(), mean])
    return {"loss": mean.reshape(1), **gradients}


def run_process(rank: int, size: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch_distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    tensors = loss_and_gradient(Distributed(rank, size), slice(rank * EACH, (rank + 1) * EACH), size)
    save_file({name: value.contiguous() for name, value in tensors.items()}, f"{folder}/{rank}.safetensors")
    torch_distributed.destroy_process_group()


@pytest.mark.parametrize("size", [2, 4])
def test_several_processes_equal_one_with_the_whole_batch(size: int, tmp_path: Path) -> None:
    multiprocessing.spawn(run_process, (size, str(tmp_path)), nprocs=size)
    expected = loss_and_gradient(Distributed(), slice(None), size)
    for rank in range(size):
        actual = load_file(tmp_path / f"{rank}.safetensors")
        assert actual.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(actual[name], value, atol=1e-5, rtol=1e-5)


def test_a_single_process_gathers_nothing() -> None:
    x = torch.rand(3, 2)
    assert Distributed().gather(x) is x
    Distributed().average([x])
