"""Mugs, bowls, teapots, bottles and vases."""

from __future__ import annotations

import numpy as np

from liveshelf.sample.canvas import Canvas
from liveshelf.sample.drawings.turned import Turned, opening, turned
from liveshelf.sample.looks import Colour, rgb
from liveshelf.sample.outlines import Outline, Point, ellipse, spline
from liveshelf.sample.patterns import Field

GLAZE = 0.55


def mug(c: Canvas) -> None:
    """Part: the handle."""
    profile: dict[str, list[Point]] = {
        "straight": [(0.46, -0.42), (0.455, 0.0), (0.45, 0.42), (0.41, 0.5)],
        "round": [(0.40, -0.40), (0.49, -0.05), (0.50, 0.22), (0.36, 0.48)],
        "tall": [(0.43, -0.64), (0.40, -0.1), (0.36, 0.45), (0.31, 0.56)],
    }
    body = profile[c.look.shape]
    r, top = body[0]
    side = body[1][0]
    loop = spline(
        [
            (side - 0.06, top + 0.2),
            (side + 0.2, top + 0.16),
            (side + 0.33, top + 0.36),
            (side + 0.22, top + 0.62),
            (side - 0.08, top + 0.72),
        ],
        closed=False,
    )
    _bar(c, loop, 0.115, c.part, gloss=GLAZE)
    _glazed(c, turned(c, body))
    opening(c, r, top, _mixed(c.colour, rgb("white"), 0.7))


def bowl(c: Canvas) -> None:
    """Part: the inside."""
    profile: dict[str, list[Point]] = {
        "wide": [(0.80, -0.12), (0.72, 0.08), (0.46, 0.28), (0.30, 0.34)],
        "deep": [(0.66, -0.28), (0.64, 0.02), (0.46, 0.34), (0.28, 0.42)],
        "footed": [(0.70, -0.24), (0.60, 0.02), (0.28, 0.2), (0.2, 0.28), (0.34, 0.46)],
    }
    body = profile[c.look.shape]
    _glazed(c, turned(c, body, tilt=0.3))
    opening(c, body[0][0], body[0][1], c.part, tilt=0.3)


def teapot(c: Canvas) -> None:
    """Part: the lid."""
    profile: dict[str, list[Point]] = {
        "round": [(0.26, -0.30), (0.46, -0.12), (0.54, 0.12), (0.44, 0.38), (0.28, 0.46)],
        "squat": [(0.30, -0.14), (0.54, 0.02), (0.62, 0.2), (0.50, 0.4), (0.34, 0.45)],
        "tall": [(0.24, -0.46), (0.34, -0.3), (0.42, 0.05), (0.44, 0.36), (0.36, 0.5)],
    }
    body = profile[c.look.shape]
    r, top = body[0]
    side = max(p[0] for p in body)
    loop = spline(
        [
            (side * 0.72, top + 0.12),
            (side + 0.16, top + 0.06),
            (side + 0.30, top + 0.24),
            (side + 0.2, 0.24),
            (side * 0.9, 0.3),
        ],
        closed=False,
    )
    _bar(c, loop, 0.09, c.colour, gloss=GLAZE)
    lip = top + 0.04
    spout = spline(
        [
            (-side * 0.8, 0.34),
            (-side - 0.12, 0.2),
            (-side - 0.2, lip + 0.08),
            (-side - 0.36, lip - 0.02),
            (-side - 0.24, lip - 0.06),
            (-side - 0.08, lip + 0.06),
            (-side * 0.84, 0.0),
        ]
    )
    c.puff(c.fill(spout), c.plain(c.colour), depth=1.3, blur=0.12, gloss=GLAZE)
    _glazed(c, turned(c, body))
    _bar(c, ellipse(0, top + 0.01, r, r * 0.2), 0.02, c.colour * 0.7)
    lid = turned(c, [(0.03, top - 0.16), (r * 0.55, top - 0.12), (r * 0.92, top - 0.03), (r * 0.97, top)])
    c.add(lid.mask, c.lit(c.plain(c.part), lid.normal, gloss=GLAZE))
    knob = turned(c, [(0.02, top - 0.30), (0.075, top - 0.25), (0.06, top - 0.18), (0.04, top - 0.14)])
    c.add(knob.mask, c.lit(c.plain(c.part), knob.normal, gloss=GLAZE))


def bottle(c: Canvas) -> None:
    """Part: the cap."""
    profile: dict[str, list[Point]] = {
        "slim": [(0.17, -0.58), (0.19, -0.52), (0.27, -0.40), (0.29, -0.2), (0.29, 0.68), (0.26, 0.74)],
        "wide": [(0.24, -0.46), (0.27, -0.40), (0.40, -0.26), (0.42, 0.0), (0.42, 0.62), (0.38, 0.70)],
        "curved": [(0.17, -0.58), (0.2, -0.48), (0.34, -0.2), (0.26, 0.12), (0.34, 0.5), (0.30, 0.72)],
    }
    body = profile[c.look.shape]
    r, top = body[0]
    _glazed(c, turned(c, body, tilt=0.14), gloss=0.8)
    neck = turned(c, [(r * 0.86, top - 0.04), (r * 0.86, top + 0.03)], tilt=0.14, smooth=False)
    c.add(neck.mask, c.lit(c.plain(rgb("grey") * 1.2), neck.normal, gloss=0.8))
    cap = turned(c, [(r * 1.0, top - 0.26), (r * 1.06, top - 0.24), (r * 1.08, top - 0.04)], tilt=0.14, smooth=False)
    c.add(cap.mask, c.lit(c.plain(c.part), cap.normal, gloss=0.3))
    lid = c.fill(ellipse(0, top - 0.26, r * 0.99, r * 0.99 * 0.14))
    c.add(lid, c.plain(np.clip(c.part * 1.1 + 0.04, 0, 1)))
    ring = ellipse(0, top - 0.30, r * 0.5, 0.13)
    if c.look.shape != "curved":
        _bar(c, ring[32:], 0.05, c.part)


def vase(c: Canvas) -> None:
    """Part: the foot, dipped in a second glaze."""
    profile: dict[str, list[Point]] = {
        "round": [(0.20, -0.60), (0.16, -0.44), (0.24, -0.28), (0.54, 0.08), (0.52, 0.36), (0.30, 0.66)],
        "tall": [(0.25, -0.78), (0.19, -0.5), (0.25, 0.0), (0.33, 0.4), (0.26, 0.74)],
        "flared": [(0.46, -0.62), (0.32, -0.4), (0.20, -0.05), (0.34, 0.36), (0.38, 0.52), (0.24, 0.68)],
    }
    body = profile[c.look.shape]
    r, top = body[0]
    side = turned(c, body)
    foot = 0.36 if c.look.shape == "round" else 0.40
    dipped = _below(c, side.t, foot + 0.015 * np.sin(side.s * 9 + c.scale * 20))
    picture = c.print(side.s, side.t)
    picture = picture + dipped * (c.plain(c.part) - picture)
    c.add(side.mask, c.lit(picture, side.normal, gloss=GLAZE))
    opening(c, r, top, c.colour * 0.55, lip=0.03)


def _glazed(c: Canvas, side: Turned, *, gloss: float = GLAZE) -> None:
    c.add(side.mask, c.lit(c.print(side.s, side.t), side.normal, gloss=gloss))


def _bar(c: Canvas, line: Outline, width: float, colour: Colour, *, gloss: float = 0.25) -> None:
    """A round bar along a line."""
    c.puff(c.stroke(line, width=width), c.plain(colour), depth=1.5, blur=width * 0.5, gloss=gloss)


def _below(c: Canvas, t: Field, edge: Field) -> Field:
    return np.clip((t - edge) / c.soft + 0.5, 0.0, 1.0).astype(np.float32)


def _mixed(a: Colour, b: Colour, share: float) -> Colour:
    return (a * (1.0 - share) + b * share).astype(np.float32)
