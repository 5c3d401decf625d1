"""Torch: the reference for every runtime, and the fallback if there is no other."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.runtime.policy import Precision
from encoders.runtime.tower import Array, TowerPlan


class TorchTower:
    """The plan's reference as a Tower. Any number of threads may call it."""

    def __init__(self, plan: TowerPlan, *, device: str = "cpu", precision: Precision = "float32") -> None:
        self._device = torch.device(device)
        self._module = plan.reference(getattr(torch, precision)).to(self._device)

    def __call__(self, *inputs: Array) -> NDArray[np.float32]:
        torch.get_num_threads()  # the first call makes the thread adopt the process's number of threads
        with torch.inference_mode():
            tensors = [torch.from_numpy(np.ascontiguousarray(array)).to(self._device) for array in inputs]
            output: NDArray[np.float32] = self._module(*tensors).float().cpu().numpy()
        return output


def computes_bfloat16() -> bool:
    """Whether this processor does, according to torch."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
