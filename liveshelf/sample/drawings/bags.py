"""Bags and backpacks."""

from __future__ import annotations

import numpy as np

from liveshelf.sample.canvas import Canvas, Picture
from liveshelf.sample.looks import rgb
from liveshelf.sample.outlines import Outline, ellipse, moved, rounded, spline

_HANDLES = {
    "tote": spline([(-0.24, -0.16), (-0.22, -0.62), (0.0, -0.80), (0.22, -0.62), (0.24, -0.16)], closed=False),
    "round": spline([(-0.28, -0.30), (-0.20, -0.66), (0.0, -0.78), (0.20, -0.66), (0.28, -0.30)], closed=False),
    "satchel": spline([(-0.58, -0.1), (-0.50, -0.62), (0.0, -0.84), (0.50, -0.62), (0.58, -0.1)], closed=False),
}
_BAGS = {
    "tote": spline(
        [
            (-0.50, -0.30),
            (0.0, -0.28),
            (0.50, -0.30),
            (0.60, 0.2),
            (0.60, 0.66),
            (0.0, 0.70),
            (-0.60, 0.66),
            (-0.60, 0.2),
        ]
    ),
    "round": ellipse(0.0, 0.18, 0.62, 0.56),
    "satchel": rounded(-0.66, -0.20, 0.66, 0.64, 0.14),
}
_FLAP = spline(
    [(-0.68, -0.22), (0.0, -0.25), (0.68, -0.22), (0.67, 0.1), (0.44, 0.30), (0.0, 0.34), (-0.44, 0.30), (-0.67, 0.1)]
)
_PACKS = {
    "round": spline([
        (-0.46, 0.72), (-0.54, 0.2), (-0.50, -0.34), (-0.28, -0.62), (0.0, -0.66), (0.28, -0.62), (0.50, -0.34),
        (0.54, 0.2), (0.46, 0.72), (0.0, 0.76),
    ]),
    "square": rounded(-0.50, -0.60, 0.50, 0.74, 0.16),
    "roll-top": spline([
        (-0.48, 0.72), (-0.52, 0.1), (-0.44, -0.44), (0.0, -0.46), (0.44, -0.44), (0.52, 0.1), (0.48, 0.72),
        (0.0, 0.75),
    ]),
}  # fmt: skip
_ZIP = spline([(-0.40, -0.06), (-0.38, -0.34), (-0.2, -0.47), (0.2, -0.47), (0.38, -0.34), (0.40, -0.06)], closed=False)


def bag(c: Canvas) -> None:
    """Part: the handles."""
    handle, body = _HANDLES[c.look.shape], _BAGS[c.look.shape]
    c.puff(c.stroke(moved(handle, 0.05, -0.03), width=0.07), c.plain(c.part * 0.7), depth=1.2, blur=0.03)
    c.puff(c.fill(body), _cloth(c), depth=0.9, blur=0.16, gloss=0.06)
    if c.look.shape == "satchel":
        c.add(c.fill(moved(_FLAP, 0.0, 0.035)) * 0.35, c.plain(c.colour * 0.25))
        c.puff(c.fill(_FLAP), _cloth(c), depth=0.9, blur=0.08, gloss=0.06)
        strap = np.array([(0.0, -0.2), (0.0, 0.42)])
        c.puff(c.stroke(strap, width=0.10), c.plain(c.part), depth=1.2, blur=0.03)
        metal(c, rounded(-0.07, 0.26, 0.07, 0.36, 0.02))
    else:
        hem = spline([(-0.50, -0.20), (0.0, -0.18), (0.50, -0.20)], closed=False)
        seam = ellipse(0.0, 0.18, 0.56, 0.50) if c.look.shape == "round" else hem
        c.add(c.stroke(seam, width=0.012) * 0.4, c.plain(c.colour * 0.4))
    c.puff(c.stroke(handle, width=0.075), c.plain(c.part), depth=1.4, blur=0.03, gloss=0.15)
    for x in (handle[0], handle[-1]):
        metal(c, ellipse(float(x[0]), float(x[1]), 0.05, 0.05))


def backpack(c: Canvas) -> None:
    """Part: the front pocket."""
    top = -0.66 if c.look.shape == "roll-top" else -0.62
    for side in (-1.0, 1.0):
        strap = spline(
            [(0.36 * side, -0.48), (0.62 * side, -0.1), (0.60 * side, 0.4), (0.46 * side, 0.66)], closed=False
        )
        c.puff(c.stroke(strap, width=0.10), c.plain(c.colour * 0.62), depth=1.3, blur=0.04)
    loop = spline([(-0.13, top + 0.06), (-0.10, top - 0.15), (0.10, top - 0.15), (0.13, top + 0.06)], closed=False)
    c.puff(c.stroke(loop, width=0.06), c.plain(c.colour * 0.55), depth=1.3, blur=0.03)
    c.puff(c.fill(_PACKS[c.look.shape]), _cloth(c), depth=1.0, blur=0.16, gloss=0.05)
    if c.look.shape == "roll-top":
        roll = rounded(-0.46, -0.70, 0.46, -0.42, 0.13)
        c.add(c.fill(moved(roll, 0.0, 0.04)) * 0.35, c.plain(c.colour * 0.2))
        c.puff(c.fill(roll), _cloth(c), depth=1.4, blur=0.1)
        strap = np.array([(0.0, -0.70), (0.0, -0.02)])
        c.puff(c.stroke(strap, width=0.07), c.plain(c.part), depth=1.2, blur=0.03)
        metal(c, rounded(-0.06, -0.32, 0.06, -0.22, 0.02))
    else:
        c.add(c.stroke(_ZIP, width=0.035) * 0.8, c.plain(c.colour * 0.4))
        c.add(c.stroke(_ZIP, width=0.012) * 0.8, c.plain(rgb("beige")))
    _pocket(c)


def metal(c: Canvas, outline: Outline) -> None:
    """A brass fitting."""
    brass = np.array([0.80, 0.68, 0.42], np.float32)
    c.puff(c.fill(outline), c.plain(brass), depth=1.5, blur=0.03, gloss=0.8)


def _pocket(c: Canvas) -> None:
    pocket = rounded(-0.36, 0.10, 0.36, 0.64, 0.12)
    c.add(c.fill(moved(pocket, 0.0, 0.03)) * 0.35, c.plain(c.colour * 0.2))
    c.puff(c.fill(pocket), c.plain(c.part) * c.folds(0.05), depth=1.1, blur=0.09, gloss=0.05)
    c.add(c.stroke(np.array([(-0.28, 0.24), (0.28, 0.24)]), width=0.03) * 0.7, c.plain(c.part * 0.45))
    pull = np.array([(0.22, 0.24), (0.22, 0.32)])
    c.puff(c.stroke(pull, width=0.028), c.plain(rgb("grey")), depth=1.2, blur=0.02, gloss=0.5)


def _cloth(c: Canvas) -> Picture:
    return c.print(c.x, c.y) * c.folds(0.07)
