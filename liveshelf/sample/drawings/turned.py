"""Surfaces of revolution: a profile rotated about an upright axis, seen slightly from above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from liveshelf.sample.canvas import Canvas, Normal, Picture
from liveshelf.sample.looks import Colour
from liveshelf.sample.outlines import Outline, Point, ellipse, moved
from liveshelf.sample.patterns import Field

TILT = 0.2  # ratio of height to width of a horizontal circle


@dataclass(frozen=True, slots=True)
class Turned:
    """A surface of revolution on the canvas: mask, coordinates around (s) and down (t), and normals."""

    mask: Field
    s: Field
    t: Field
    normal: Normal


def turned(
    canvas: Canvas, profile: Sequence[Point], *, x: float = 0.0, tilt: float = TILT, smooth: bool = True
) -> Turned:
    """The surface of a profile of (radius, y) points from top to bottom."""
    points = np.asarray(profile, float)
    height = np.linspace(points[0, 1], points[-1, 1], 72)
    radius = _through(points, height) if smooth else np.interp(height, points[:, 1], points[:, 0])
    half = np.linspace(0.0, np.pi, 24)
    foot = np.column_stack([radius[-1] * np.cos(half), height[-1] + tilt * radius[-1] * np.sin(half)])
    brim = np.column_stack([-radius[0] * np.cos(half), height[0] - tilt * radius[0] * np.sin(half)])
    right_edge, left_edge = np.column_stack([radius, height]), np.column_stack([-radius, height])[::-1]
    outline = moved(np.vstack([right_edge, foot, left_edge, brim]), x)
    # Seen from above, each ring bulges downwards; the widest rings may hide the sides below them.
    rings = [ellipse(x, y, r, tilt * r, 40) for r, y in zip(radius[::4], height[::4], strict=True)]
    mask = canvas.fill(outline, *rings)
    ups, sides = height.astype(np.float32), radius.astype(np.float32)
    slopes = np.gradient(radius, height).clip(-3, 3).astype(np.float32)
    across = canvas.x - np.float32(x)
    at = canvas.y
    for _ in range(2):
        r = np.interp(at, ups, sides).astype(np.float32)
        front = np.sqrt(np.clip(1.0 - (across / r) ** 2, 0.0, 1.0))
        at = canvas.y - np.float32(tilt) * r * front
    r = np.interp(at, ups, sides).astype(np.float32)
    u = np.clip(across / r, -1.0, 1.0)
    slope = np.interp(at, ups, slopes).astype(np.float32)
    level = 1.0 / np.sqrt(1.0 + slope**2)
    deep = np.sqrt(1.0 - u**2)
    normal = (u * level, -slope * level, deep * level)
    return Turned(mask, np.arcsin(u) * np.float32(float(radius.max())), at, normal)


def _through(points: Outline, height: Outline) -> Outline:
    """Radii at heights on a monotone cubic through the points, without overshoot (Fritsch and Carlson)."""
    r, h = points[:, 0], points[:, 1]
    gaps = np.diff(h)
    rises = np.diff(r) / gaps
    tangents = np.concatenate([rises[:1], np.zeros(len(r) - 2), rises[-1:]])
    same = rises[:-1] * rises[1:] > 0
    before, after = 2 * gaps[1:] + gaps[:-1], gaps[1:] + 2 * gaps[:-1]
    with np.errstate(divide="ignore"):
        mean = (before + after) / (before / rises[:-1] + after / rises[1:])
    tangents[1:-1] = np.where(same, mean, 0.0)
    at = np.clip(np.searchsorted(h, height, side="right") - 1, 0, len(gaps) - 1)
    x, gap = (height - h[at]) / gaps[at], gaps[at]
    start, end = r[at], r[at + 1]
    curve = start + gap * tangents[at] * x + (3 * (end - start) - gap * (2 * tangents[at] + tangents[at + 1])) * x**2
    curve += (2 * (start - end) + gap * (tangents[at] + tangents[at + 1])) * x**3
    radii: Outline = np.maximum(curve, 0.004)
    return radii


def opening(canvas: Canvas, radius: float, y: float, inside: Colour, *, lip: float = 0.035, tilt: float = TILT) -> None:
    """The rim and the inside of a vessel, seen over its edge; the rim has the vessel's colour."""
    rim = canvas.fill(ellipse(0.0, y, radius, tilt * radius))
    canvas.add(rim, canvas.plain(np.clip(canvas.colour * 1.08 + 0.03, 0, 1)))
    inner = radius - lip
    hollow = canvas.fill(ellipse(0.0, y + 0.004, inner, tilt * inner))
    canvas.add(hollow, hollow_light(canvas, inside, inner, y))


def hollow_light(canvas: Canvas, inside: Colour, radius: float, y: float, deep: float = 0.45) -> Picture:
    """The inside of a vessel; its wall shades the side that the light comes from."""
    u = np.clip(canvas.x / radius, -1.0, 1.0)
    toward = np.clip(0.5 - 0.5 * u * float(np.sign(canvas.light[0])), 0.0, 1.0)
    v = np.clip((canvas.y - np.float32(y)) / (TILT * radius), -1.0, 1.0)
    shade = (1.0 - deep) + deep * (0.75 * toward + 0.25 * (0.5 + 0.5 * v))
    lit: Picture = canvas.plain(inside) * shade
    return lit
