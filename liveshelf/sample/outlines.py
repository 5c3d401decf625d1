"""Outlines of objects as points: arrays of shape (n, 2), x to the right, y down, about -0.9..0.9."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]
Point = tuple[float, float]


def spline(points: Sequence[Point], *, closed: bool = True, steps: int = 10) -> Outline:
    """A smooth curve through the points (Catmull-Rom)."""
    p = np.asarray(points, float)
    before, after = (p[-1:], p[:2]) if closed else (2 * p[:1] - p[1:2], 2 * p[-1:] - p[-2:-1])
    p = np.vstack([before, p, after])
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[None, :, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None, :] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    flat = curve.reshape(-1, 2)
    return flat if closed else np.vstack([flat, p[-2]])


def mirrored(half: Sequence[Point], *, smooth: bool = False) -> Outline:
    """A closed outline from its right half, given from top to bottom."""
    line = spline(half, closed=False) if smooth else np.asarray(half, float)
    return np.vstack([line, (line * [-1.0, 1.0])[::-1]])


def ellipse(x: float, y: float, rx: float, ry: float, steps: int = 64) -> Outline:
    angle = np.linspace(0.0, 2 * np.pi, steps, endpoint=False)
    return np.column_stack([x + rx * np.cos(angle), y + ry * np.sin(angle)])


def rounded(x0: float, y0: float, x1: float, y1: float, radius: float) -> Outline:
    """A rectangle with round corners."""
    r = min(radius, (x1 - x0) / 2, (y1 - y0) / 2)
    corners = []
    for i, (x, y) in enumerate(((x1 - r, y1 - r), (x0 + r, y1 - r), (x0 + r, y0 + r), (x1 - r, y0 + r))):
        angle = np.linspace(i * np.pi / 2, (i + 1) * np.pi / 2, 9)
        corners.append(np.column_stack([x + r * np.cos(angle), y + r * np.sin(angle)]))
    return np.vstack(corners)


def polygon(sides: int, radius: float) -> Outline:
    angle = (np.arange(sides) + 0.5) * 2 * np.pi / sides
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])


def moved(outline: Outline, x: float = 0.0, y: float = 0.0, scale: float = 1.0) -> Outline:
    return outline * scale + [x, y]
