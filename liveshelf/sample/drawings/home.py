"""Lamps, chairs, clocks, cushions, plant pots and candles."""

from __future__ import annotations

import numpy as np

from liveshelf.sample.canvas import Canvas
from liveshelf.sample.drawings.turned import opening, turned
from liveshelf.sample.looks import LIGHT, rgb
from liveshelf.sample.outlines import Outline, Point, ellipse, moved, polygon, rounded, spline


def lamp(c: Canvas) -> None:
    """Part: the base."""
    bases: dict[str, list[Point]] = {
        "cone": [(0.05, -0.1), (0.10, 0.06), (0.21, 0.24), (0.265, 0.42), (0.24, 0.6), (0.16, 0.72)],
        "drum": [(0.05, -0.1), (0.05, 0.5), (0.08, 0.62), (0.32, 0.68), (0.33, 0.73)],
        "dome": [(0.05, -0.1), (0.16, 0.12), (0.07, 0.34), (0.19, 0.54), (0.26, 0.72)],
    }
    shades: dict[str, list[Point]] = {
        "cone": [(0.26, -0.78), (0.58, -0.10)],
        "drum": [(0.48, -0.70), (0.50, -0.12)],
        "dome": [(0.10, -0.74), (0.36, -0.66), (0.54, -0.42), (0.60, -0.12)],
    }
    base = turned(c, bases[c.look.shape])
    c.add(base.mask, c.lit(c.plain(c.part), base.normal, gloss=0.6))
    line = shades[c.look.shape]
    wide, low = line[-1]
    under = c.fill(ellipse(0, low, wide, 0.13 * wide))
    c.add(under, c.plain(np.array([1.0, 0.93, 0.74], np.float32)))
    shade = turned(c, line, tilt=0.13, smooth=c.look.shape == "dome")
    # The bulb shines through the cloth: warm, strongest at the lower centre.
    glow = np.exp(-((c.x / 0.42) ** 2) - ((c.y - low + 0.16) / 0.36) ** 2) * 0.34
    ball = 0.62 * np.arcsin(np.clip(c.x / 0.66, -1, 1))
    cloth = c.print(ball, c.y) if c.look.shape == "dome" else c.print(shade.s, shade.t)
    lit = c.lit(cloth, shade.normal) + glow * (cloth * 0.4 + c.plain(np.array([0.6, 0.5, 0.28], np.float32)))
    c.add(shade.mask, lit.astype(np.float32))
    if c.look.shape != "dome":
        opening(c, line[0][0], line[0][1], np.array([1.0, 0.95, 0.8], np.float32), lip=0.02, tilt=0.13)


def chair(c: Canvas) -> None:
    """Part: the legs."""
    wood = c.plain(c.part)
    arm = c.look.shape == "armchair"
    back = [spline([(-0.34, 0.1), (-0.36, 0.62)], closed=False), spline([(0.34, 0.1), (0.36, 0.62)], closed=False)]
    front = [spline([(-0.42, 0.25), (-0.5, 0.84)], closed=False), spline([(0.42, 0.25), (0.5, 0.84)], closed=False)]
    c.puff(c.stroke(*back, width=0.06), wood * 0.72, depth=1.3, blur=0.03)
    rests: dict[str, Outline] = {
        "square": rounded(-0.40, -0.84, 0.40, -0.06, 0.09),
        "round": ellipse(0.0, -0.44, 0.42, 0.42),
        "armchair": spline(
            [(-0.48, 0.1), (-0.52, -0.3), (-0.42, -0.68), (0, -0.78), (0.42, -0.68), (0.52, -0.3), (0.48, 0.1)]
        ),
    }
    if not arm:
        posts = [spline([(-0.3, -0.2), (-0.34, 0.12)], closed=False), spline([(0.3, -0.2), (0.34, 0.12)], closed=False)]
        c.puff(c.stroke(*posts, width=0.06), wood * 0.9, depth=1.3, blur=0.03)
    cloth = c.print(c.x, c.y)
    c.puff(c.fill(rests[c.look.shape]), cloth, depth=0.9, blur=0.14)
    c.puff(c.stroke(*front, width=0.075), wood, depth=1.4, blur=0.035, gloss=0.2)
    seat = spline(
        [(-0.40, 0.02), (0, -0.03), (0.40, 0.02), (0.50, 0.26), (0.46, 0.36), (0, 0.41), (-0.46, 0.36), (-0.50, 0.26)]
    )
    shadow = np.clip(1.0 - 0.35 * np.exp(-(((c.y - 0.02) / 0.07) ** 2)), 0, 1)
    sat = c.print(c.x * (1.0 - 0.25 * (c.y - 0.2)), c.y * 1.9)
    c.puff(c.fill(seat), (sat * np.minimum(1.06, shadow * 1.06)).astype(np.float32), depth=1.0, blur=0.12)
    if arm:
        for side in (-1.0, 1.0):
            rest = spline(
                [
                    (0.44 * side, -0.16),
                    (0.60 * side, -0.2),
                    (0.66 * side, -0.02),
                    (0.62 * side, 0.38),
                    (0.46 * side, 0.42),
                ]
            )
            c.puff(c.fill(rest), c.print(c.x * 1.1, c.y), depth=1.2, blur=0.1)


def clock(c: Canvas) -> None:
    """Part: the frame."""
    frames: dict[str, tuple[Outline, Outline]] = {
        "round": (ellipse(0, 0, 0.8, 0.8, 96), ellipse(0, 0, 0.66, 0.66, 96)),
        "square": (rounded(-0.72, -0.72, 0.72, 0.72, 0.14), rounded(-0.59, -0.59, 0.59, 0.59, 0.06)),
        "octagon": (polygon(8, 0.84), polygon(8, 0.69)),
    }
    outer, inner = frames[c.look.shape]
    ring = c.fill(outer, cut=(inner,))
    c.add(c.fill(inner), c.print(c.x, c.y, scale=0.9))
    deep = c.fill(inner) * (1.0 - c.fill(moved(inner, 0.03 * _side(c), 0.035)))
    c.add(deep * 0.35, c.plain(c.colour * 0.3))
    c.puff(ring, c.plain(c.part), depth=1.4, blur=0.05, gloss=0.5)
    dark = c.look.colour in LIGHT or c.look.colour in ("orange", "grey")
    hands = rgb("black") if dark else rgb("white")
    back = rgb("white") if dark else rgb("black")
    ticks = [_ray(i * np.pi / 6, 0.50 if i % 3 else 0.47, 0.57) for i in range(12)]
    c.add(c.stroke(*ticks, width=0.05) * 0.75, c.plain(back))
    c.add(c.stroke(*ticks, width=0.028), c.plain(hands))
    angle = float(c.rng.uniform(0, 2 * np.pi))
    long, short = _ray(angle * 12 % (2 * np.pi), -0.08, 0.46), _ray(angle, -0.06, 0.31)
    c.add(c.stroke(moved(long, 0.015, 0.02), moved(short, 0.015, 0.02), width=0.055) * 0.4, c.plain(rgb("black")))
    c.add(c.stroke(long, width=0.055) * 0.75, c.plain(back))
    c.add(c.stroke(short, width=0.075) * 0.75, c.plain(back))
    c.add(c.stroke(long, width=0.034), c.plain(hands))
    c.add(c.stroke(short, width=0.052), c.plain(hands))
    c.puff(c.fill(ellipse(0, 0, 0.055, 0.055)), c.plain(c.part), depth=1.5, blur=0.04, gloss=0.5)


def cushion(c: Canvas) -> None:
    """Part: the piping along the edge."""
    edges: dict[str, Outline] = {
        "square": _pinched(0.72, 0.74),
        "round": ellipse(0, 0, 0.74, 0.72, 80),
        "oblong": _pinched(0.88, 0.52),
    }
    edge = edges[c.look.shape]
    bulge = 1.0 + 0.10 * (c.x**2 + c.y**2)
    cloth = c.print(c.x * bulge, c.y * bulge) * c.folds(0.06)
    c.puff(c.fill(edge), cloth.astype(np.float32), depth=1.0, blur=0.26)
    c.puff(c.stroke(np.vstack([edge, edge[:1]]), width=0.06), c.plain(c.part), depth=1.4, blur=0.03)
    if c.look.shape == "round":
        c.puff(c.fill(ellipse(0, 0, 0.07, 0.07)), c.plain(c.part), depth=1.4, blur=0.04)


def _pinched(wide: float, high: float, pinch: float = 0.055) -> Outline:
    """A rectangle with slightly protruding corners, as of a stuffed cover."""
    half = [(-wide, -high), (-wide / 2, pinch * 0.7 - high), (0.0, pinch - high), (wide / 2, pinch * 0.7 - high)]
    side = [(wide, -high), (wide - pinch * 0.7, -high / 2), (wide - pinch, 0.0), (wide - pinch * 0.7, high / 2)]
    turned_round = [(-x, -y) for x, y in (*half, *side)]
    return spline([*half, *side, *turned_round])


def plant_pot(c: Canvas) -> None:
    """Part: the saucer."""
    _leaves(c)
    saucer = turned(c, [(0.48, 0.60), (0.44, 0.70), (0.40, 0.72)], smooth=False)
    c.add(saucer.mask, c.lit(c.plain(c.part), saucer.normal, gloss=0.3))
    bodies: dict[str, list[Point]] = {
        "tapered": [(0.46, -0.06), (0.44, 0.1), (0.36, 0.5), (0.32, 0.62)],
        "round": [(0.38, -0.06), (0.475, 0.14), (0.495, 0.28), (0.45, 0.46), (0.32, 0.62)],
        "rimmed": [(0.50, -0.06), (0.50, 0.10), (0.42, 0.12), (0.36, 0.5), (0.34, 0.62)],
    }
    body = bodies[c.look.shape]
    side = turned(c, body, smooth=c.look.shape != "rimmed")
    c.add(side.mask, c.lit(c.print(side.s, side.t), side.normal, gloss=0.3))
    r, top = body[0]
    opening(c, r, top, np.array([0.30, 0.22, 0.17], np.float32), lip=0.04)
    _leaves(c, front=True)


def candle(c: Canvas) -> None:
    """Part: the dish it stands in."""
    bodies: dict[str, list[Point]] = {
        "pillar": [(0.30, -0.44), (0.31, 0.56)],
        "wide": [(0.46, -0.12), (0.47, 0.56)],
        "taper": [(0.085, -0.62), (0.13, 0.50)],
    }
    body = bodies[c.look.shape]
    (r, top), (foot, low) = body
    wide = max(0.34, foot + 0.16)
    dish = turned(c, [(wide, low + 0.02), (wide * 0.92, low + 0.1), (wide * 0.66, low + 0.15)], smooth=False)
    c.add(dish.mask, c.lit(c.plain(c.part), dish.normal, gloss=0.6))
    c.add(c.fill(ellipse(0, low + 0.02, wide, wide * 0.2)), c.plain(np.clip(c.part * 1.05, 0, 1)))
    c.add(c.fill(ellipse(0.03, low + 0.03, foot * 1.2, foot * 0.26)) * 0.4, c.plain(c.part * 0.4))
    if c.look.shape == "taper":
        cup = turned(c, [(0.19, low - 0.16), (0.15, low), (0.12, low + 0.03)], smooth=False)
    side = turned(c, body, smooth=False)
    wax = c.lit(c.print(side.s, side.t, scale=0.8), side.normal, gloss=0.2)
    warm = np.clip(1.0 - (c.y - top) / 0.5, 0, 1) * c.plain(np.array([0.16, 0.10, 0.02], np.float32))
    c.add(side.mask, (wax + warm).astype(np.float32))
    c.add(c.fill(ellipse(0, top, r, r * 0.2)), c.plain(np.clip(c.colour * 1.12 + 0.06, 0, 1)))
    c.add(
        c.fill(ellipse(0, top + 0.01, r * 0.72, r * 0.13)), c.plain(np.clip(c.colour * 0.8 + [0.2, 0.14, 0.02], 0, 1))
    )
    if c.look.shape == "taper":
        c.add(cup.mask, c.lit(c.plain(c.part), cup.normal, gloss=0.6))
    _flame(c, top)


def _flame(c: Canvas, top: float) -> None:
    c.add(c.stroke(np.array([[0.0, top], [0.004, top - 0.07]]), width=0.022), c.plain(rgb("black")))
    halo = np.exp(-((c.x / 0.16) ** 2) - ((c.y - top + 0.15) / 0.2) ** 2)
    c.glow(halo * 0.4, c.plain(np.array([1.0, 0.93, 0.7], np.float32)))
    tear = spline(
        [
            (0, top - 0.30),
            (0.05, top - 0.15),
            (0.045, top - 0.06),
            (0, top - 0.03),
            (-0.045, top - 0.06),
            (-0.05, top - 0.15),
        ]
    )
    heat = np.clip((c.y - top + 0.30) / 0.26, 0, 1)
    tip, core = c.plain(np.array([1.0, 0.72, 0.2], np.float32)), c.plain(np.array([1.0, 0.96, 0.75], np.float32))
    c.glow(c.fill(tear), tip + heat * (core - tip))


def _leaves(c: Canvas, *, front: bool = False) -> None:
    """A plant: leaves on stems that fan out of the pot, and a few that hang over the rim."""
    count = 3 if front else 10
    for i in range(count):
        lean = float(c.rng.uniform(-1.05, 1.05)) if front else -1.25 + 2.5 * (i + 0.5) / count
        reach = float(c.rng.uniform(0.30, 0.42)) if front else float(c.rng.uniform(0.55, 0.78))
        tip = np.array([reach * np.sin(lean), -0.06 - reach * np.cos(lean) * 0.98])
        root = np.array([0.16 * np.sin(lean), -0.04])
        along = tip - root
        across = np.array([-along[1], along[0]]) * float(c.rng.uniform(0.15, 0.22))
        mid = root + along * 0.58
        leaf = spline([tuple(root), tuple(mid + across), tuple(tip), tuple(mid - across)])
        green = np.array([0.27, 0.49, 0.29], np.float32) * float(c.rng.uniform(0.75, 1.25))
        mask = c.fill(leaf)
        c.puff(mask, c.plain(green), depth=1.0, blur=0.06, gloss=0.15)
        c.add(c.stroke(np.array([root, tip - along * 0.08]), width=0.012) * 0.5, c.plain(green * 1.35))


def _ray(angle: float, start: float, end: float) -> Outline:
    way = np.array([np.sin(angle), -np.cos(angle)])
    return np.array([way * start, way * end])


def _side(c: Canvas) -> float:
    return -float(np.sign(c.light[0]))
