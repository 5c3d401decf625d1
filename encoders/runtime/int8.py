"""Plans of the frozen backbones with most of their arithmetic in 8 bits."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from encoders.runtime.digest import digest, module_files
from encoders.runtime.tower import TowerPlan

if TYPE_CHECKING:
    import torch
    from torch import nn

RANGES = Path(__file__).parents[1] / "weights" / "ranges.safetensors"
"""Written by `python -m training.int8_calibration`."""

MODULES = ("encoders.runtime.int8_layers",)
# Without these a processor adds 8-bit products in 16 bits, which overflow, and gains little.
_CPU_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


def in_int8(plan: TowerPlan) -> TowerPlan:
    """The plan of a frozen backbone with layers rounded to 8 bits: a runtime computes them in int8 if it can."""

    def reference(precision: torch.dtype) -> nn.Module:
        from encoders.runtime.int8_layers import rounded

        return rounded(plan.reference(precision), RANGES)

    layers_code = digest(RANGES, *module_files(*MODULES))
    return replace(plan, name=f"{plan.name}-int8", code=plan.code + layers_code, reference=reference)


def computes_in_int8() -> bool:
    """Whether this processor multiplies 8-bit numbers into 32-bit sums. Known on Linux only."""
    if platform.system() != "Linux":
        return False
    return not _CPU_FLAGS.isdisjoint(Path("/proc/cpuinfo").read_text("utf-8").split())
