"""The processes that train together, and CDNS: vectors of all of them, gathered with gradient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True)
class Distributed:
    """One of `size` processes that train one model. All of them must call the same methods in the same order."""

    rank: int = 0
    size: int = 1

    @staticmethod
    def join(device: torch.device) -> Distributed:
        """Meet the other processes where torchrun started several; otherwise be alone."""
        if not distributed.is_torchelastic_launched():
            return Distributed()
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return Distributed(distributed.get_rank(), distributed.get_world_size())

    @contextmanager
    def first(self) -> Iterator[None]:
        """The first process does what is inside before the others do."""
        if self.rank:
            distributed.barrier()
        yield
        if self.size > 1 and not self.rank:
            distributed.barrier()

    def gather(self, mine: Tensor) -> Tensor:
        """The rows of all processes, in order of rank, the same number from each. The gradient finds its way back."""
        if self.size == 1:
            return mine
        if not mine.requires_grad:
            return _all(mine, self)
        found: Tensor = _Gather.apply(mine, self)
        return found

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Put the mean over all processes into each, in place."""
        if self.size == 1:
            return
        some = list(tensors)
        flat = torch.cat([one.detach().flatten().float() for one in some])
        distributed.all_reduce(flat)
        flat /= self.size
        for one, mean in zip(some, torch.split(flat, [one.numel() for one in some]), strict=True):
            one.detach().copy_(mean.view_as(one))


class _Gather(torch.autograd.Function):
    """Its gradient is the sum over all processes of what they want of this one's rows.

    So where each process's loss is a mean over its own rows, the mean of the processes' gradients is the gradient of
    the mean over all rows, as one process with all the rows would have it.
    """

    @staticmethod
    def forward(ctx: Any, mine: Tensor, world: Distributed) -> Tensor:
        ctx.world, ctx.rows = world, len(mine)
        return _all(mine, world)

    @staticmethod
    def backward(ctx: Any, *wanted: Any) -> Any:
        whole = wanted[0].contiguous().clone()
        distributed.all_reduce(whole)
        first = ctx.world.rank * ctx.rows
        return whole[first : first + ctx.rows], None


def _all(mine: Tensor, world: Distributed) -> Tensor:
    parts = [torch.empty_like(mine) for _ in range(world.size)]
    distributed.all_gather(parts, mine.detach().contiguous())
    return torch.cat(parts)
