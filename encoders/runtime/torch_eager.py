"""Torch: the reference for every runtime, and what runs a tower where there is no other."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.runtime.policy import Precision
from encoders.runtime.tower import Array, TowerPlan


class TorchTower:
    """A Tower, as the plan says it in torch. Any number of threads may call it."""

    def __init__(self, plan: TowerPlan, *, device: str = "cpu", precision: Precision = "float32") -> None:
        self._device = torch.device(device)
        self._module = plan.reference(getattr(torch, precision)).to(self._device)

    def __call__(self, *inputs: Array) -> NDArray[np.float32]:
        torch.get_num_threads()  # a thread takes over the process's number of threads when it is first asked for it
        with torch.inference_mode():
            given = [torch.from_numpy(np.ascontiguousarray(array)).to(self._device) for array in inputs]
            found: NDArray[np.float32] = self._module(*given).float().cpu().numpy()
        return found


def computes_bfloat16() -> bool:
    """Whether this processor does, as torch knows it."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
