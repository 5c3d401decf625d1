"""What was measured, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value in its unit. `ratio` is to what `of` names, `goal` the least the ratio should be."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    of: str = ""
    goal: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the ratio reaches its goal, None where there is none."""
        return None if self.ratio is None or self.goal is None else self.ratio >= self.goal


def table(figures: Iterable[Figure]) -> str:
    """A table in markdown."""
    lines = ["| what | figure | ratio | goal |", "|---|---:|---:|---:|"]
    for f in figures:
        ratio = "" if f.ratio is None else f"{number(f.ratio)} x {f.of}".rstrip()
        goal = "" if f.goal is None else f"{number(f.goal)} x"
        lines.append(f"| {f.name} | {number(f.value)} {f.unit} | {ratio} | {goal} |")
    return "\n".join(lines)


def used(peak_mb: Mapping[str, float], cpu_s: Mapping[str, float]) -> list[Figure]:
    """The peak memory and the CPU time of each process."""
    memory = [Figure(f"peak memory, {name}", mb, "MB") for name, mb in peak_mb.items()]
    return memory + [Figure(f"CPU, {name}", seconds, "s") for name, seconds in cpu_s.items()]


def number(value: float) -> str:
    """Three digits that count; whole numbers as they are."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
