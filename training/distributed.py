"""Processes that train one model together, and CDNS: gathering their vectors with gradient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributed as torch_distributed


@dataclass(frozen=True, slots=True)
class Distributed:
    """This process among the `size` that train one model. All must call the same methods in the same order."""

    rank: int = 0
    size: int = 1

    @staticmethod
    def join(device: torch.device) -> Distributed:
        """Join the other processes if torchrun started several; otherwise be the only one."""
        if not torch_distributed.is_torchelastic_launched():
            return Distributed()
        torch_distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return Distributed(torch_distributed.get_rank(), torch_distributed.get_world_size())

    @contextmanager
    def first_process_first(self) -> Iterator[None]:
        """The first process runs the block before the others."""
        if self.rank:
            torch_distributed.barrier()
        yield
        if self.size > 1 and not self.rank:
            torch_distributed.barrier()

    def gather(self, local: Tensor) -> Tensor:
        """The rows of all processes, ordered by rank, the same number from each. Gradients flow back."""
        if self.size == 1:
            return local
        if not local.requires_grad:
            return _all_gather(local, self)
        gathered: Tensor = _Gather.apply(local, self)
        return gathered

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over all processes, in place."""
        if self.size == 1:
            return
        targets = [tensor.detach() for tensor in tensors]
        flat = torch.cat([target.flatten().float() for target in targets])
        torch_distributed.all_reduce(flat)
        flat /= self.size
        for target, mean in zip(targets, torch.split(flat, [target.numel() for target in targets]), strict=True):
            target.copy_(mean.view_as(target))


class _Gather(torch.autograd.Function):
    """All-gather. The gradient of a process's rows is the sum of the gradients from all processes.

    If each process's loss is a mean over its own rows, the mean of their gradients is therefore the gradient of the
    mean over all rows, as in one process with all rows.
    """

    @staticmethod
    def forward(ctx: Any, local: Tensor, distributed: Distributed) -> Tensor:
        ctx.distributed, ctx.rows = distributed, len(local)
        return _all_gather(local, distributed)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        total = gradients[0].contiguous().clone()
        torch_distributed.all_reduce(total)
        first = ctx.distributed.rank * ctx.rows
        return total[first : first + ctx.rows], None


def _all_gather(local: Tensor, distributed: Distributed) -> Tensor:
    rows_by_rank = [torch.empty_like(local) for _ in range(distributed.size)]
    torch_distributed.all_gather(rows_by_rank, local.detach().contiguous())
    return torch.cat(rows_by_rank)
