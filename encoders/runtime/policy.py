"""How towers run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

RuntimeName = Literal["auto", "openvino", "torch"]
Precision = Literal["bfloat16", "float32"]
PrecisionSetting = Literal["auto", "int8", "bfloat16", "float32"]


@dataclass(frozen=True, slots=True)
class RuntimePolicy:
    """The runtime, the folder of its exports (None: they are not kept), its threads and its precision.

    - `name`: `auto` is the fastest runtime that is installed.
    - `forwards` passes run at once, each on `threads` threads; None: they share the cores.
    - `nice` lowers the priority of the runtime's own threads against other threads and processes, 0 to 19.
    - `precision`: `int8` computes most of the frozen backbones in 8 bits and the rest in `bfloat16`, each if the
      processor and the runtime support it. `auto` is the fastest of them.
    """

    name: RuntimeName = "auto"
    folder: Path | None = None
    forwards: int = 1
    threads: int | None = None
    nice: int = 0
    precision: PrecisionSetting = "auto"
