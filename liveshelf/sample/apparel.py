"""T-shirts, dresses, hats and shoes."""

from __future__ import annotations

import numpy as np

from liveshelf.sample.canvas import Canvas, Picture
from liveshelf.sample.looks import rgb
from liveshelf.sample.outlines import Outline, Point, ellipse, mirrored, moved, spline
from liveshelf.sample.turned import turned


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
        c.puff(c.stroke(end, width=0.075), c.plain(c.part), depth=1.2, blur=0.03)
    c.puff(c.fill(body), _cloth(c, c.print(c.x, c.y)), depth=0.8, blur=0.13)
    for side in (-1.0, 1.0):
        seam = np.array([(0.37, -0.57), (0.425, -0.36), (0.42, -0.14)]) * [side, 1.0]
        c.add(c.stroke(seam, width=0.012) * 0.35, c.plain(c.colour * 0.4))
    _neck(c, 0.20, -0.625, deep, pointed=c.look.shape == "v-neck")


def dress(c: Canvas) -> None:
    """Part: the belt."""
    skirts: dict[str, list[Point]] = {
        "flared": [
            (0.16, -0.84),
            (0.25, -0.82),
            (0.23, -0.66),
            (0.28, -0.5),
            (0.19, -0.16),
            (0.32, 0.1),
            (0.60, 0.70),
            (0.34, 0.79),
            (0, 0.81),
        ],
        "straight": [
            (0.16, -0.84),
            (0.27, -0.82),
            (0.25, -0.64),
            (0.29, -0.48),
            (0.24, -0.16),
            (0.32, 0.1),
            (0.31, 0.76),
            (0.16, 0.77),
            (0, 0.775),
        ],
        "sleeved": [
            (0.16, -0.84),
            (0.30, -0.80),
            (0.30, -0.60),
            (0.27, -0.48),
            (0.20, -0.16),
            (0.34, 0.12),
            (0.48, 0.72),
            (0.26, 0.79),
            (0, 0.80),
        ],
    }
    if c.look.shape == "sleeved":
        for side in (-1.0, 1.0):
            sleeve = _sided(side, [(0.24, -0.82), (0.34, -0.78), (0.58, -0.40), (0.44, -0.30), (0.27, -0.52)])
            c.puff(c.fill(sleeve), _cloth(c, c.print(c.x, c.y)) * 0.95, depth=1.0, blur=0.08)
    outline = mirrored(skirts[c.look.shape])
    flare = np.clip(c.y + 0.16, 0, 1)
    spread = 1.0 + (1.1 if c.look.shape == "flared" else 0.3) * flare
    pleats = 1.0 + 0.085 * np.sin(c.x / spread * 34) * np.clip(flare * 2.2, 0, 1)
    cloth = _cloth(c, c.print(c.x, c.y)) * pleats
    c.puff(c.fill(outline), cloth.astype(np.float32), depth=0.8, blur=0.1)
    waist = skirts[c.look.shape][4][0] + 0.005
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
    c.add(brim.mask, c.lit(c.print(brim.s * 1.2, brim.t * 1.5), brim.normal))
    c.add(c.fill(ellipse(0.0, 0.10, crown[-1][0] * 1.16, 0.15)) * 0.45, c.plain(c.colour * 0.35))
    top = turned(c, crown, tilt=0.24)
    c.add(top.mask, c.lit(_cloth(c, c.print(top.s, top.t)), top.normal))
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


def shoe(c: Canvas) -> None:
    """Part: the sole."""
    tops: dict[str, list[Point]] = {
        "low": [
            (-0.78, 0.30),
            (-0.80, 0.02),
            (-0.72, -0.16),
            (-0.52, -0.10),
            (-0.28, -0.20),
            (-0.10, -0.10),
            (0.22, 0.06),
            (0.62, 0.14),
            (0.80, 0.30),
        ],
        "high-top": [
            (-0.74, 0.30),
            (-0.76, 0.0),
            (-0.72, -0.50),
            (-0.46, -0.54),
            (-0.22, -0.52),
            (-0.12, -0.20),
            (0.22, 0.04),
            (0.62, 0.13),
            (0.80, 0.30),
        ],
        "slip-on": [
            (-0.78, 0.30),
            (-0.80, 0.06),
            (-0.70, -0.10),
            (-0.46, -0.02),
            (-0.20, -0.03),
            (0.02, -0.10),
            (0.30, 0.0),
            (0.66, 0.12),
            (0.80, 0.30),
        ],
    }
    upper = spline([*tops[c.look.shape], (0.6, 0.36), (0.0, 0.37), (-0.6, 0.36)])
    mouth = {
        "low": (-0.50, -0.10, 0.24, 0.07),
        "high-top": (-0.46, -0.52, 0.25, 0.05),
        "slip-on": (-0.36, -0.04, 0.34, 0.07),
    }
    x, y, rx, ry = mouth[c.look.shape]
    if c.look.shape != "slip-on":
        tongue = spline(
            [(x + rx - 0.1, y + 0.04), (x + rx - 0.02, y - 0.12), (x + rx + 0.12, y - 0.08), (x + rx + 0.14, y + 0.16)]
        )
        c.puff(c.fill(tongue), c.plain(c.colour * 0.85), depth=1.0, blur=0.06)
    c.puff(c.fill(upper), _cloth(c, c.print(c.x, c.y)), depth=1.0, blur=0.14)
    c.add(c.fill(ellipse(x, y + 0.02, rx * 0.9, ry * 0.8)) * 0.85, c.plain(c.colour * 0.28))
    sole = spline(
        [
            (-0.82, 0.26),
            (-0.4, 0.31),
            (0.0, 0.31),
            (0.5, 0.28),
            (0.84, 0.24),
            (0.88, 0.36),
            (0.78, 0.45),
            (0.0, 0.46),
            (-0.76, 0.45),
            (-0.85, 0.38),
        ]
    )
    c.puff(c.fill(sole), c.plain(c.part), depth=1.2, blur=0.06, gloss=0.1)
    groove = spline([(-0.82, 0.39), (0.0, 0.405), (0.85, 0.37)], closed=False)
    c.add(c.stroke(groove, width=0.014) * 0.35, c.plain(c.part * 0.4))
    if c.look.shape == "slip-on":
        gusset = spline([(-0.06, -0.07), (0.06, -0.09), (0.10, 0.10), (0.0, 0.12)])
        c.puff(c.fill(gusset), c.plain(c.colour * 0.6), depth=1.0, blur=0.03)
        return
    toe = spline([(0.52, 0.10), (0.70, 0.15), (0.83, 0.28), (0.50, 0.31), (0.46, 0.2)])
    c.puff(c.fill(toe), c.plain(rgb("white") * 0.97), depth=1.1, blur=0.07, gloss=0.1)
    start = -0.14 if c.look.shape == "high-top" else -0.16
    rows = range(6 if c.look.shape == "high-top" else 4)
    laces = [_lace(start, -0.36 if c.look.shape == "high-top" else -0.14, i, len(rows)) for i in rows]
    c.add(c.stroke(*[moved(lace, y=0.015) for lace in laces], width=0.045) * 0.3, c.plain(rgb("black")))
    c.puff(c.stroke(*laces, width=0.036), c.plain(rgb("white")), depth=1.2, blur=0.02)


def _lace(x: float, y: float, i: int, count: int) -> Outline:
    share = i / (count - 1)
    ax, ay = x + 0.42 * share, y + (0.06 - y) * share
    return np.array([(ax - 0.10, ay + 0.10), (ax + 0.04, ay - 0.01)])


def _neck(
    c: Canvas,
    wide: float,
    top: float,
    deep: float,
    *,
    pointed: bool,
    width: float = 0.06,
    colour: np.ndarray | None = None,
) -> None:
    """The opening for the neck: the back of the garment seen inside it, and its edge."""
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
    c.puff(c.stroke(curve, width=width), c.plain(edge), depth=1.2, blur=0.03)


def _sided(side: float, points: list[Point]) -> Outline:
    return np.asarray(points) * [side, 1.0]


def _cloth(c: Canvas, picture: Picture) -> Picture:
    return (picture * c.folds(0.085)).astype(np.float32)
