"""The metrics of a training: metrics.jsonl, and TensorBoard if it is installed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FILE = "metrics.jsonl"


class MetricsLog:
    """Writes one line for each step, and passes its metrics to `display`."""

    def __init__(self, out: Path, display: Callable[[Mapping[str, float]], None], *, resume: bool) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._display = display
        self._file = out / FILE
        self._resumed = resume and self._file.exists()
        if not self._resumed:
            self._file.write_text("", encoding="utf-8")
        self._writer: Any = None
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(out))

    def _drop_lines_from(self, step: float) -> None:
        """Drop the lines of steps that a resumed training repeats."""
        lines = self._file.read_text(encoding="utf-8").splitlines()
        earlier = [line for line in lines if json.loads(line)["step"] < step]
        self._file.write_text("".join(f"{line}\n" for line in earlier), encoding="utf-8")

    def __call__(self, metrics: Mapping[str, float]) -> None:
        rounded = {name: float(f"{value:.6g}") for name, value in metrics.items()}
        if self._resumed:
            self._drop_lines_from(rounded["step"])
            self._resumed = False
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rounded) + "\n")
        if self._writer is not None:
            for name, value in rounded.items():
                self._writer.add_scalar(name, value, int(metrics["step"]))
        self._display(rounded)
