"""The results of ablations and their table: means over seeds with intervals, and differences paired by seed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

RESULTS = "results.jsonl"
# Student's t for two-sided 95 %, by degrees of freedom.
_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one row's model, trained from one seed."""

    row: str
    base: str
    seed: int
    figures: Mapping[str, float]
    seconds: float

    def json(self) -> str:
        return json.dumps(asdict(self))


def read_results(folder: Path) -> list[Result]:
    """The results in that folder, empty if there are none."""
    file = folder / RESULTS
    if not file.exists():
        return []
    return [Result(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def table(results: Sequence[Result], order: Sequence[str]) -> str:
    """Markdown with one line a row in that order: each figure's mean, half interval and difference to the base row."""
    by_row: dict[str, dict[int, Result]] = {name: {} for name in order}
    for result in results:
        by_row.setdefault(result.row, {})[result.seed] = result
    names = list(dict.fromkeys(name for result in results for name in result.figures))
    lines = [["row", "seeds", *(heading for name in names for heading in (name, "against its base")), "base"]]
    lines.append(["---", *("---:" for _ in range(1 + 2 * len(names))), "---"])
    for name, runs in by_row.items():
        if not runs:
            continue
        base = by_row.get(next(iter(runs.values())).base, {})
        seeds = sorted(runs.keys() & base.keys())
        cells = [name, str(len(runs))]
        for figure in names:
            cells.append(mean_with_interval([run.figures[figure] for run in runs.values()]))
            differences = [runs[seed].figures[figure] - base[seed].figures[figure] for seed in seeds]
            cells.append(mean_with_interval(differences, signed=True) if differences else "")
        lines.append([*cells, next(iter(runs.values())).base])
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def mean_with_interval(values: Sequence[float], *, signed: bool = False) -> str:
    """The mean and half of its 95 % interval by Student's t; one value has no interval."""
    mean = float(np.mean(values))
    text = f"{mean:+.3f}" if signed else f"{mean:.3f}"
    if len(values) < 2:
        return text
    half = _T.get(len(values) - 1, 1.96) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return f"{text} ± {half:.3f}"
