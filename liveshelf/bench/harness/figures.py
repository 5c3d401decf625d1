"""Measured figures, and their table in markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value in its unit. `ratio` is relative to `of`; `goal` is the lowest acceptable ratio.

    `most` is the highest acceptable value. `cpu_ms` is the CPU time of one counted item.
    """

    name: str
    value: float
    unit: str
    ratio: float | None = None
    of: str = ""
    goal: float | None = None
    most: float | None = None
    cpu_ms: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal or limit is met; None without one."""
        if self.most is not None:
            return self.value <= self.most
        return None if self.ratio is None or self.goal is None else self.ratio >= self.goal

    @property
    def cells(self) -> tuple[str, str, str]:
        """Value, ratio and goal (or limit) as text; empty if not set."""
        ratio = "" if self.ratio is None else f"{number(self.ratio)} x {self.of}".rstrip()
        goal = "" if self.goal is None else f"{number(self.goal)} x"
        cpu = "" if self.cpu_ms is None else f", {number(self.cpu_ms)} ms CPU"
        return f"{number(self.value)} {self.unit}".rstrip() + cpu, ratio, goal or self._limit

    @property
    def _limit(self) -> str:
        return "" if self.most is None else f"at most {number(self.most)} {self.unit}"


def table(figures: Iterable[Figure]) -> str:
    """A table in markdown."""
    lines = ["| what | figure | ratio | goal |", "|---|---:|---:|---:|"]
    lines += [f"| {' | '.join((f.name, *f.cells))} |" for f in figures]
    return "\n".join(lines)


def resource_figures(peak_mb: Mapping[str, float], cpu_s: Mapping[str, float]) -> list[Figure]:
    """Peak memory and CPU time of each process."""
    memory = [Figure(f"peak memory, {name}", mb, "MB") for name, mb in peak_mb.items()]
    return memory + [Figure(f"CPU, {name}", seconds, "s") for name, seconds in cpu_s.items()]


def number(value: float) -> str:
    """Three significant digits; whole numbers in full; ? if not finite."""
    if not math.isfinite(value):
        return "?"
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
