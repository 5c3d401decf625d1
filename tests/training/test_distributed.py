"""CDNS: several processes on parts of a batch are one process on the whole of it, in loss and gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn import functional as F

from encoders.towers.single_stream import TowerOutput
from training.data.batch import TrainBatch
from training.distributed import Distributed
from training.recipe import TaskWeights
from training.tasks.negatives import Positives
from training.tasks.qic import QIC

EACH, DIM = 4, 8
KNOWN = Positives(np.arange(20) % 7, np.arange(20) % 11, queries=7, items=11)


class Two(nn.Module):
    """Two towers of one layer each."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.query, self.item = nn.Linear(6, DIM), nn.Linear(6, DIM)

    def read(self, x: Tensor, there: Tensor) -> dict[str, TowerOutput]:
        query, item = (F.normalize(line(x), dim=1) for line in (self.query, self.item))
        return {
            "query": TowerOutput(query[:, None], there[:, None] | True, query),
            "item": TowerOutput(item[:, None], there[:, None], item),
        }


def loss_and_gradient(world: Distributed, rows: slice, size: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(EACH * size, 6, generator=generator)
    there = torch.rand(EACH * size, generator=generator) < 0.8
    queries = torch.randint(7, (EACH * size,), generator=generator)
    items = torch.randint(11, (EACH * size,), generator=generator)
    towers, nothing = Two(), torch.zeros(0, 0)
    batch = TrainBatch({}, queries[rows], items[rows], {}, nothing.bool(), nothing, nothing, 0, nothing)
    loss = QIC("item", TaskWeights(nested=(4,)), known=KNOWN, world=world)(towers.read(x[rows], there[rows]), batch)
    loss.backward()
    gradients = {name: weight.grad for name, weight in towers.named_parameters() if weight.grad is not None}
    mean = loss.detach().clone()
    world.average([*gradients.values(), mean])
    return {"loss": mean.reshape(1), **gradients}


def process(rank: int, size: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    found = loss_and_gradient(Distributed(rank, size), slice(rank * EACH, (rank + 1) * EACH), size)
    save_file({name: value.contiguous() for name, value in found.items()}, f"{folder}/{rank}.safetensors")
    distributed.destroy_process_group()


@pytest.mark.parametrize("size", [2, 4])
def test_several_processes_are_one_with_the_whole_batch(size: int, tmp_path: Path) -> None:
    multiprocessing.spawn(process, (size, str(tmp_path)), nprocs=size)
    expected = loss_and_gradient(Distributed(), slice(None), size)
    for rank in range(size):
        found = load_file(tmp_path / f"{rank}.safetensors")
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5)


def test_alone_nothing_is_gathered() -> None:
    x = torch.rand(3, 2)
    assert Distributed().gather(x) is x
    Distributed().average([x])
