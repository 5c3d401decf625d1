"""Shoes, seen from the side, the toe to the right."""

from __future__ import annotations

import numpy as np

from liveshelf.sample.canvas import Canvas
from liveshelf.sample.looks import rgb
from liveshelf.sample.outlines import Outline, Point, ellipse, moved, spline

_FRONT: list[Point] = [(0.32, 0.05), (0.58, 0.10), (0.77, 0.17), (0.87, 0.31), (0.6, 0.37), (0.0, 0.38), (-0.6, 0.37)]
_UPPERS: dict[str, list[Point]] = {
    "low": [
        (-0.78, 0.33),
        (-0.80, 0.08),
        (-0.76, -0.16),
        (-0.66, -0.20),
        (-0.46, -0.07),
        (-0.22, -0.18),
        (0.02, -0.08),
    ],
    "high-top": [
        (-0.76, 0.33),
        (-0.76, 0.0),
        (-0.74, -0.46),
        (-0.64, -0.55),
        (-0.42, -0.52),
        (-0.20, -0.55),
        (-0.1, -0.2),
    ],
    "slip-on": [
        (-0.78, 0.33),
        (-0.80, 0.10),
        (-0.75, -0.10),
        (-0.64, -0.13),
        (-0.40, -0.01),
        (-0.16, -0.07),
        (0.04, -0.07),
    ],
}
_MOUTHS: dict[str, tuple[float, float, float, float]] = {
    "low": (-0.46, -0.12, 0.20, 0.055),
    "high-top": (-0.44, -0.53, 0.22, 0.04),
    "slip-on": (-0.42, -0.06, 0.24, 0.05),
}
_LACES: dict[str, tuple[Point, Point, int]] = {
    "low": ((-0.19, -0.10), (0.20, 0.06), 4),
    "high-top": ((-0.17, -0.42), (0.20, 0.04), 6),
}
_SOLE: list[Point] = [
    (-0.81, 0.31), (-0.4, 0.335), (0.1, 0.335), (0.55, 0.31), (0.86, 0.25), (0.905, 0.30), (0.84, 0.39), (0.6, 0.44),
    (0.0, 0.45), (-0.70, 0.45), (-0.82, 0.42),
]  # fmt: skip


def shoe(c: Canvas) -> None:
    """Part: the sole."""
    shape = c.look.shape
    x, y, rx, ry = _MOUTHS[shape]
    if shape != "slip-on":
        tongue = moved(spline([(-0.10, 0.08), (-0.05, -0.08), (0.05, -0.10), (0.10, 0.06)]), x + rx + 0.02, y)
        c.puff(c.fill(tongue), c.plain(c.colour * 0.8), depth=1.0, blur=0.05)
    cloth = c.print(c.x, c.y) * c.folds(0.07)
    c.puff(c.fill(spline([*_UPPERS[shape], *_FRONT])), cloth, depth=1.0, blur=0.14)
    c.add(c.fill(ellipse(x, y, rx, ry)) * 0.9, c.plain(c.colour * 0.28))
    c.add(c.stroke(ellipse(x, y, rx, ry)[:33], width=0.03) * 0.8, c.plain(np.clip(c.colour * 1.15, 0, 1)))
    if shape == "slip-on":
        vamp = spline([(-0.14, -0.05), (-0.06, 0.12), (0.10, 0.24), (0.36, 0.33)], closed=False)
        c.add(c.stroke(vamp, width=0.016) * 0.5, c.plain(c.colour * 0.4))
    else:
        toe = spline([(0.60, 0.10), (0.77, 0.16), (0.87, 0.31), (0.6, 0.36), (0.50, 0.32), (0.51, 0.2)])
        c.puff(c.fill(toe), c.plain(rgb("white") * 0.97), depth=1.0, blur=0.07, gloss=0.1)
        _laced(c, *_LACES[shape])
    heel = spline([(-0.80, 0.10), (-0.70, 0.12), (-0.62, 0.34), (-0.78, 0.34)], steps=5)
    c.puff(c.fill(heel), c.plain(c.colour * 0.78), depth=0.5, blur=0.04)
    c.puff(c.fill(spline(_SOLE)), c.plain(c.part), depth=1.1, blur=0.05, gloss=0.12)
    groove = spline([(-0.80, 0.39), (0.0, 0.40), (0.55, 0.385), (0.86, 0.33)], closed=False)
    c.add(c.stroke(groove, width=0.014) * 0.4, c.plain(c.part * 0.4))


def _laced(c: Canvas, top: Point, low: Point, count: int) -> None:
    steps = np.linspace(np.asarray(top), np.asarray(low), count)
    laces: list[Outline] = [np.array([(x - 0.10, y + 0.10), (x + 0.04, y - 0.01)]) for x, y in steps]
    c.add(c.stroke(*(moved(lace, y=0.015) for lace in laces), width=0.045) * 0.3, c.plain(rgb("black")))
    c.puff(c.stroke(*laces, width=0.036), c.plain(rgb("white")), depth=1.2, blur=0.02)
