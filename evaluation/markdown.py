"""Findings as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def table(rows: Mapping[str, Mapping[str, float]], *, first: str) -> str:
    """One row per key, one column per figure, three decimals, "-" where a row lacks one; `first` heads the keys."""
    columns: dict[str, None] = {name: None for row in rows.values() for name in row}
    lines = [_line([first, *columns]), _line(["---", *("---:" for _ in columns)])]
    for name, row in rows.items():
        lines.append(_line([name, *(f"{row[column]:.3f}" if column in row else "-" for column in columns)]))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
