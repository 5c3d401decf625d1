"""How towers are to be run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

RuntimeName = Literal["auto", "openvino", "torch"]
Precision = Literal["bfloat16", "float32"]
Wanted = Literal["auto", "int8", "bfloat16", "float32"]


@dataclass(frozen=True, slots=True)
class RuntimePolicy:
    """Which runtime, where its exports are kept (None: nowhere), and its threads.

    `auto` is what is fastest of what is there. `forwards` run at once, each on `threads` threads; None: they share the
    cores. `nice` is how far a runtime's own threads stand back behind other threads and processes, 0 to 19.
    `precision` is what is computed in: `bfloat16` where the device computes in it, `int8` the same with most of the
    frozen backbones in 8 bits where the processor and the runtime do that, and `auto` whichever of them is fastest.
    """

    name: RuntimeName = "auto"
    folder: Path | None = None
    forwards: int = 1
    threads: int | None = None
    nice: int = 0
    precision: Wanted = "auto"
