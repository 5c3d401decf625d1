"""What was measured, and how it is shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value in its unit. `ratio` is to what `of` names, `goal` the least the ratio should be.

    `most` is what the value itself should not exceed. `cpu_ms` is the CPU time of one of the things counted.
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
        """Whether the goal is reached, None where there is none."""
        if self.most is not None:
            return self.value <= self.most
        return None if self.ratio is None or self.goal is None else self.ratio >= self.goal

    @property
    def said(self) -> tuple[str, str, str]:
        """Value, ratio and goal as a person reads them; empty where there is none."""
        ratio = "" if self.ratio is None else f"{number(self.ratio)} x {self.of}".rstrip()
        goal = "" if self.goal is None else f"{number(self.goal)} x"
        cpu = "" if self.cpu_ms is None else f", {number(self.cpu_ms)} ms CPU"
        return f"{number(self.value)} {self.unit}".rstrip() + cpu, ratio, goal or self._most

    @property
    def _most(self) -> str:
        return "" if self.most is None else f"at most {number(self.most)} {self.unit}"


def table(figures: Iterable[Figure]) -> str:
    """A table in markdown."""
    lines = ["| what | figure | ratio | goal |", "|---|---:|---:|---:|"]
    lines += [f"| {' | '.join((f.name, *f.said))} |" for f in figures]
    return "\n".join(lines)


def used(peak_mb: Mapping[str, float], cpu_s: Mapping[str, float]) -> list[Figure]:
    """The peak memory and the CPU time of each process."""
    memory = [Figure(f"peak memory, {name}", mb, "MB") for name, mb in peak_mb.items()]
    return memory + [Figure(f"CPU, {name}", seconds, "s") for name, seconds in cpu_s.items()]


def number(value: float) -> str:
    """Three digits that count; whole numbers as they are."""
    if not math.isfinite(value):
        return "?"
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
