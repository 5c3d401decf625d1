"""What a training says of itself: metrics.jsonl, and TensorBoard where it is installed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FILE = "metrics.jsonl"


class MetricsLog:
    """One line for each step, and one call of `shown` for a person to see it."""

    def __init__(self, out: Path, shown: Callable[[Mapping[str, float]], None], *, resume: bool) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._shown = shown
        self._file = out / FILE
        self._resumed = resume and self._file.exists()
        if not self._resumed:
            self._file.write_text("", encoding="utf-8")
        self._writer: Any = None
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(out))

    def _forget_from(self, step: float) -> None:
        """Drop the lines of steps that a resumed training does again."""
        lines = self._file.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["step"] < step]
        self._file.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def __call__(self, figures: Mapping[str, float]) -> None:
        rounded = {name: float(f"{value:.6g}") for name, value in figures.items()}
        if self._resumed:
            self._forget_from(rounded["step"])
            self._resumed = False
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rounded) + "\n")
        if self._writer is not None:
            for name, value in rounded.items():
                self._writer.add_scalar(name, value, int(figures["step"]))
        self._shown(rounded)
