"""T-shirts, dresses and hats."""

from __future__ import annotations

import numpy as np

from liveshelf.sample.canvas import Canvas, Picture
from liveshelf.sample.drawings.turned import turned
from liveshelf.sample.looks import Colour, rgb
from liveshelf.sample.outlines import Outline, Point, ellipse, mirrored, spline

_SKIRTS: dict[str, list[Point]] = {
    "flared": [
        (0.16, -0.84), (0.25, -0.82), (0.23, -0.66), (0.28, -0.5), (0.19, -0.16), (0.32, 0.1), (0.60, 0.70),
        (0.34, 0.79), (0, 0.81),
    ],
    "straight": [
        (0.16, -0.84), (0.27, -0.82), (0.25, -0.64), (0.29, -0.48), (0.24, -0.16), (0.32, 0.1), (0.31, 0.76),
        (0.16, 0.77), (0, 0.775),
    ],
    "sleeved": [
        (0.16, -0.84), (0.30, -0.80), (0.30, -0.60), (0.27, -0.48), (0.20, -0.16), (0.34, 0.12), (0.48, 0.72),
        (0.26, 0.79), (0, 0.80),
    ],
}  # fmt: skip


def t_shirt(c: Canvas) -> None:
    """Part: the collar and the cuffs."""
    deep = {"crew": 0.13, "v-neck": 0.30, "long-sleeved": 0.13}[c.look.shape]
    long = c.look.shape == "long-sleeved"
    body = mirrored(
        [(0.20, -0.62), (0.36, -0.57), (0.44, -0.30), (0.41, 0.1), (0.43, 0.68), (0.22, 0.70), (0.0, 0.705)]
    )
    cuff_out, cuff_in = ((0.80, 0.42), (0.64, 0.47)) if long else ((0.80, -0.14), (0.60, -0.02))
    for side in (-1.0, 1.0):
        sleeve = _sided(side, [(0.32, -0.60), (0.48, -0.52), cuff_out, cuff_in, (0.42, -0.14), (0.34, -0.3)])
        lean = 0.55 if not long else 0.25
        cloth = _cloth(c, c.print(c.x * 0.9 + c.y * lean * side, c.y * 0.9 - c.x * lean * side))
        c.puff(c.fill(sleeve), cloth * 0.96, depth=0.9, blur=0.08)
        end = np.array([cuff_out, cuff_in]) * [side, 1.0]
        c.puff(c.stroke(end, width=0.07), c.plain(c.part), depth=0.8, blur=0.03)
    c.puff(c.fill(body), _cloth(c, c.print(c.x, c.y)), depth=0.8, blur=0.13)
    for side in (-1.0, 1.0):
        seam = np.array([(0.37, -0.57), (0.425, -0.36), (0.42, -0.14)]) * [side, 1.0]
        c.add(c.stroke(seam, width=0.012) * 0.35, c.plain(c.colour * 0.4))
    _neck(c, 0.20, -0.625, deep, pointed=c.look.shape == "v-neck")


def dress(c: Canvas) -> None:
    """Part: the belt."""
    if c.look.shape == "sleeved":
        for side in (-1.0, 1.0):
            sleeve = _sided(side, [(0.24, -0.82), (0.34, -0.78), (0.58, -0.40), (0.44, -0.30), (0.27, -0.52)])
            c.puff(c.fill(sleeve), _cloth(c, c.print(c.x, c.y)) * 0.95, depth=1.0, blur=0.08)
    outline = mirrored(_SKIRTS[c.look.shape])
    flare = np.clip(c.y + 0.16, 0, 1)
    spread = 1.0 + (1.1 if c.look.shape == "flared" else 0.3) * flare
    pleats = 1.0 + 0.085 * np.sin(c.x / spread * 34) * np.clip(flare * 2.2, 0, 1)
    cloth = _cloth(c, c.print(c.x, c.y)) * pleats
    c.puff(c.fill(outline), cloth.astype(np.float32), depth=0.8, blur=0.1)
    waist = _SKIRTS[c.look.shape][4][0] + 0.005
    belt = spline([(-waist, -0.20), (0, -0.185), (waist, -0.20), (waist, -0.12), (0, -0.10), (-waist, -0.12)], steps=4)
    c.puff(c.fill(belt), c.plain(c.part), depth=1.2, blur=0.03, gloss=0.15)
    buckle = spline([(-0.04, -0.19), (0.04, -0.19), (0.04, -0.10), (-0.04, -0.10)], steps=2)
    c.puff(
        c.stroke(np.vstack([buckle, buckle[:1]]), width=0.022), c.plain(rgb("yellow")), depth=1.2, blur=0.02, gloss=0.6
    )
    _neck(c, 0.16, -0.845, 0.17, pointed=False, width=0.03, colour=c.colour * 0.8)


def hat(c: Canvas) -> None:
    """Part: the band, or the peak of a cap."""
    if c.look.shape == "cap":
        _cap(c)
        return
    wide, drop = (0.86, 0.05) if c.look.shape == "wide-brimmed" else (0.66, 0.16)
    crown: list[Point] = [(0.05, -0.56), (0.26, -0.53), (0.36, -0.40), (0.41, 0.06)]
    if c.look.shape == "bucket":
        crown = [(0.05, -0.46), (0.30, -0.44), (0.37, -0.34), (0.46, 0.08)]
    brim = turned(c, [(crown[-1][0], 0.05), (wide * 0.85, 0.10 + drop * 0.5), (wide, 0.12 + drop)], tilt=0.24)
    c.add(brim.mask, c.lit(c.print(c.x, c.y * 2.2), brim.normal))
    c.add(c.fill(ellipse(0.0, 0.10, crown[-1][0] * 1.16, 0.15)) * 0.45, c.plain(c.colour * 0.35))
    top = turned(c, crown, tilt=0.24)
    c.add(top.mask, c.lit(_cloth(c, c.print(0.5 * np.arcsin(np.clip(c.x / 0.55, -1, 1)), c.y)), top.normal))
    low = crown[-1][0]
    band = turned(c, [(low - 0.015, -0.07), (low + 0.012, 0.055)], tilt=0.24, smooth=False)
    only = np.clip((band.t + 0.07) / c.soft + 0.5, 0, 1)
    c.add((band.mask * only).astype(np.float32), c.lit(c.plain(c.part), band.normal, gloss=0.1))


def _cap(c: Canvas) -> None:
    crown = spline(
        [
            (-0.58, 0.14),
            (-0.56, -0.16),
            (-0.36, -0.44),
            (0.0, -0.53),
            (0.32, -0.42),
            (0.50, -0.14),
            (0.54, 0.12),
            (0.2, 0.2),
            (-0.2, 0.2),
        ]
    )
    c.puff(c.fill(crown), _cloth(c, c.print(c.x * 1.05, c.y)), depth=1.0, blur=0.2)
    for line in ([(-0.02, -0.53), (-0.2, -0.2), (-0.22, 0.19)], [(-0.02, -0.53), (0.2, -0.24), (0.26, 0.18)]):
        c.add(c.stroke(spline(line, closed=False), width=0.012) * 0.4, c.plain(c.colour * 0.45))
    peak = spline([(0.06, 0.20), (0.30, 0.05), (0.54, 0.06), (0.80, 0.20), (0.90, 0.30), (0.66, 0.30), (0.36, 0.26)])
    c.puff(c.fill(peak), c.plain(c.part), depth=1.0, blur=0.1, gloss=0.1)
    c.puff(c.fill(ellipse(-0.02, -0.53, 0.05, 0.035)), c.plain(c.part), depth=1.4, blur=0.03)


def _neck(
    c: Canvas,
    wide: float,
    top: float,
    deep: float,
    *,
    pointed: bool,
    width: float = 0.06,
    colour: Colour | None = None,
) -> None:
    """The neck opening: the inside back of the garment, and the edge."""
    low = top + deep
    curve = (
        np.array([(-wide, top), (0.0, low), (wide, top)])
        if pointed
        else spline(
            [
                (-wide, top),
                (-wide * 0.62, top + deep * 0.72),
                (0.0, low),
                (wide * 0.62, top + deep * 0.72),
                (wide, top),
            ],
            closed=False,
        )
    )
    back = spline([(wide, top), (0.0, top + 0.05), (-wide, top)], closed=False)
    c.add(c.fill(np.vstack([curve, back])), c.plain(c.colour * 0.5))
    edge = c.part if colour is None else colour
    c.puff(c.stroke(back, width=width * 0.8), c.plain(edge * 0.8), depth=1.0, blur=0.03)
    c.puff(c.stroke(curve, width=width), c.plain(edge), depth=0.8, blur=0.03)


def _sided(side: float, points: list[Point]) -> Outline:
    return np.asarray(points) * [side, 1.0]


def _cloth(c: Canvas, picture: Picture) -> Picture:
    return (picture * c.folds(0.085)).astype(np.float32)
