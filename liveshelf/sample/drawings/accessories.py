"""Watches, umbrellas and glasses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from liveshelf.sample.canvas import Canvas
from liveshelf.sample.drawings.bags import metal
from liveshelf.sample.looks import LIGHT, rgb
from liveshelf.sample.outlines import Outline, ellipse, mirrored, rounded, spline


def watch(c: Canvas) -> None:
    """Part: the face."""
    upper = mirrored([(0.15, -0.92), (0.17, -0.86), (0.22, -0.3), (0.2, -0.2)])
    lower = mirrored([(0.2, 0.2), (0.22, 0.3), (0.17, 0.84), (0.10, 0.93)])
    for strap in (upper, lower):
        c.puff(c.fill(strap), c.print(c.x, c.y, scale=0.62), depth=1.1, blur=0.06, gloss=0.1)
    stitch = [np.array([(x * side, y), (x * side, y + 0.035)]) for side in (-1.0, 1.0) for x, y in _stitches()]
    c.add(c.stroke(*stitch, width=0.012) * 0.5, c.plain(c.ink))
    holes = [ellipse(0.0, y, 0.022, 0.022, 16) for y in (0.52, 0.62, 0.72)]
    c.add(c.fill(*holes) * 0.8, c.plain(c.colour * 0.25))
    frames: dict[str, tuple[Outline, Outline]] = {
        "round": (ellipse(0, 0, 0.40, 0.40), ellipse(0, 0, 0.335, 0.335)),
        "square": (rounded(-0.36, -0.38, 0.36, 0.38, 0.10), rounded(-0.295, -0.315, 0.295, 0.315, 0.06)),
        "oval": (ellipse(0, 0, 0.33, 0.43), ellipse(0, 0, 0.268, 0.365)),
    }
    outer, inner = frames[c.look.shape]
    metal(c, rounded(float(outer[:, 0].max()) - 0.04, -0.06, float(outer[:, 0].max()) + 0.06, 0.06, 0.03))
    steel = np.array([0.80, 0.81, 0.83], np.float32) if c.scale > 1.0 else np.array([0.86, 0.72, 0.46], np.float32)
    c.puff(c.fill(outer), c.plain(steel), depth=1.6, blur=0.045, gloss=0.9)
    c.add(c.fill(inner), c.plain(c.part))
    pale = c.look.part in LIGHT or c.look.part in ("orange", "grey")
    hands = rgb("black") if pale else rgb("white")
    wide = 0.74 if c.look.shape != "oval" else 0.72
    marks = [inner_ray(inner, i / 12, wide + (0.06 if i % 3 else 0.0), 0.90) for i in range(12)]
    c.add(c.stroke(*marks, width=0.02), c.plain(hands))
    hour_share = float(c.rng.random())
    c.add(c.stroke(inner_ray(inner, hour_share, 0.0, 0.46), width=0.034), c.plain(hands))
    c.add(c.stroke(inner_ray(inner, hour_share * 12 % 1, 0.0, 0.68), width=0.022), c.plain(hands))
    glass = np.clip(0.9 - np.abs(c.x * 0.8 + c.y + 0.18) * 7, 0, 1)
    c.add((c.fill(inner) * glass * 0.14).astype(np.float32), c.plain(rgb("white")))


def inner_ray(inner: Outline, share: float, start: float, end: float) -> Outline:
    """A line from the centre towards the rim of a face, at `share` of the circle from twelve o'clock."""
    way = np.array([np.sin(2 * np.pi * share), -np.cos(2 * np.pi * share)])
    angles = inner @ way / np.maximum(np.linalg.norm(inner, axis=1), 1e-6)
    reach = float(np.linalg.norm(inner[int(np.argmax(angles))]))
    return np.array([way * reach * start, way * reach * end])


def umbrella(c: Canvas) -> None:
    """Part: the handle."""
    if c.look.shape == "folded":
        _folded(c)
        return
    high = -0.72 if c.look.shape == "domed" else -0.56
    rim = -0.02 if c.look.shape == "domed" else -0.06
    c.puff(
        c.stroke(np.array([(0.0, -0.3), (0.0, 0.56)]), width=0.036),
        c.plain(rgb("grey")),
        depth=1.4,
        blur=0.02,
        gloss=0.6,
    )
    hook = spline([(0.0, 0.46), (0.0, 0.74), (0.08, 0.84), (0.18, 0.82), (0.21, 0.70)], closed=False)
    c.puff(c.stroke(hook, width=0.085), c.plain(c.part), depth=1.4, blur=0.04, gloss=0.4)
    _canopy(c, high, rim)
    tip = np.array([(0.0, high - 0.09), (0.0, high)])
    c.puff(c.stroke(tip, width=0.04), c.plain(c.part), depth=1.3, blur=0.02, gloss=0.4)


def _canopy(c: Canvas, high: float, rim: float) -> None:
    """The cloth between the ribs; each panel bulges."""
    tips = (-0.86, -0.60, -0.22, 0.22, 0.60, 0.86)
    ribs = [spline([(0.0, high), (x * 0.62, high * 0.72 + rim * 0.28), (x, rim)], closed=False) for x in tips]
    for i, (left, right) in enumerate(pairwise(ribs)):
        a, b = tips[i], tips[i + 1]
        sag = spline([(a, rim), ((a + b) / 2, rim - 0.07), (b, rim)], closed=False)
        bright = 1.06 + 0.08 * (a + b) * float(np.sign(c.light[0])) - 0.05 * (i % 2)
        cloth = np.clip(c.print(c.x, c.y) * bright, 0, 1.1)
        c.puff(c.fill(np.vstack([left, sag, right[::-1]])), cloth, depth=0.55, blur=0.09, gloss=0.1)
    c.add(c.stroke(*ribs, width=0.012) * 0.35, c.plain(c.colour * 0.35))


def _folded(c: Canvas) -> None:
    c.puff(
        c.stroke(np.array([(0.0, -0.86), (0.0, 0.6)]), width=0.034),
        c.plain(rgb("grey")),
        depth=1.4,
        blur=0.02,
        gloss=0.6,
    )
    hook = spline([(0.0, 0.46), (0.0, 0.70), (0.09, 0.82), (0.21, 0.80), (0.25, 0.66)], closed=False)
    c.puff(c.stroke(hook, width=0.085), c.plain(c.part), depth=1.4, blur=0.04, gloss=0.4)
    cloth = mirrored([(0.025, -0.80), (0.09, -0.5), (0.19, 0.1), (0.20, 0.30), (0.10, 0.36), (0.05, 0.40)], smooth=True)
    twist = 1.0 + 0.16 * np.sin((c.x * 1.0 + c.y * 0.10) * 42)
    c.puff(
        c.fill(cloth),
        (c.print(c.x * 1.3, c.y, scale=0.8) * twist).astype(np.float32),
        depth=1.2,
        blur=0.09,
        gloss=0.1,
    )
    tie = spline([(-0.175, 0.02), (0.0, 0.06), (0.175, 0.02)], closed=False)
    c.puff(c.stroke(tie, width=0.06), c.plain(c.colour * 0.7), depth=1.2, blur=0.02)


def glasses(c: Canvas) -> None:
    """Part: the lenses."""
    lens = {
        "round": ellipse(0.44, 0.0, 0.31, 0.30),
        "square": rounded(0.12, -0.25, 0.78, 0.26, 0.11),
        "cat-eye": spline([(0.12, -0.12), (0.42, -0.26), (0.84, -0.34), (0.74, 0.06), (0.50, 0.26), (0.22, 0.20)]),
    }[c.look.shape]
    pair = (lens, lens * [-1.0, 1.0])
    for side in (-1.0, 1.0):
        arm = spline(
            [(0.78 * side, -0.14), (0.84 * side, -0.26), (0.66 * side, -0.44), (0.40 * side, -0.50)], closed=False
        )
        c.puff(c.stroke(arm, width=0.055), c.print(c.x, c.y, scale=0.4) * 0.75, depth=1.3, blur=0.03, gloss=0.3)
    fade = np.clip(0.82 - (c.y + 0.25) * 0.5, 0.5, 0.86)
    glare = np.clip(1.0 - np.abs((c.x % 0.88) * 0.7 + c.y - 0.16) * 9, 0, 1) * 0.22
    tint = c.plain(c.part) + glare
    c.add((c.fill(*pair) * fade).astype(np.float32), np.clip(tint, 0, 1).astype(np.float32))
    rims = c.stroke(*(np.vstack([p, p[:2]]) for p in pair), width=0.10)
    bridge = c.stroke(spline([(-0.15, -0.06), (0.0, -0.15), (0.15, -0.06)], closed=False), width=0.085)
    c.puff(np.maximum(rims, bridge), c.print(c.x, c.y, scale=0.42), depth=1.5, blur=0.045, gloss=0.7)


def _stitches() -> list[tuple[float, float]]:
    return [(0.165 - 0.02 * (abs(y) - 0.5), y) for y in (-0.8, -0.7, -0.6, -0.5, 0.45, 0.55, 0.65, 0.75)]
