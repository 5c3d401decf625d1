"""A photo of one object: background, shadow, object."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from liveshelf.sample.canvas import Canvas, Picture, Pose
from liveshelf.sample.kinds import KINDS
from liveshelf.sample.looks import Spec
from liveshelf.sample.patterns import Field

SIZE = 224

WALLS = ("e9e6e1", "e4e7ea", "efe6dc", "e2e8e2", "ece3e6", "dfe4ec", "f0ece4", "d9d6d1", "e6dfd3", "d5dde0")


def photo(spec: Spec, size: int = SIZE) -> Image.Image:
    """The photo of a spec: RGB, `size` pixels a side, deterministic."""
    rng = np.random.default_rng([spec.view, 17])
    kind = KINDS[spec.look.kind]
    lean = 0.045 if kind.stands else 0.14
    zoom = float(rng.uniform(0.82, 0.96)) * kind.zoom
    mirror = bool(rng.random() < 0.3) and kind.mirrors
    aside, down = (0.5 * zoom * float(v) for v in kind.middle)
    pose = Pose(
        rotation=float(rng.uniform(-lean, lean)),
        zoom=zoom,
        x=float(rng.uniform(-0.03, 0.03)) - (-aside if mirror else aside),
        y=float(rng.uniform(-0.02, 0.03)) - down,
        mirror=mirror,
    )
    canvas = Canvas(spec.look, size=size, pose=pose, rng=rng)
    kind.draw(canvas)
    picture = _ground(size, rng, stands=kind.stands)
    picture = picture * (1.0 - _shadow(canvas, stands=kind.stands))
    for layer in canvas.layers:
        under = picture[(slice(None), *layer.box)]
        under += layer.mask * (layer.picture - under)
    shown = (np.clip(picture, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(shown.transpose(1, 2, 0)))


def _ground(size: int, rng: np.random.Generator, *, stands: bool) -> Picture:
    """The background: a wall and a table, or a sheet of paper for objects that lie flat."""
    code = WALLS[int(rng.integers(len(WALLS)))]
    wall = np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)], np.float32)
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = at[None, :], at[:, None]
    light = 1.03 - 0.10 * ((x - 0.3) ** 2 + (y - 0.25) ** 2)
    if stands:
        horizon = float(rng.uniform(0.62, 0.74))
        floor = 1.0 / (1.0 + np.exp(-(y - horizon) / 0.035))
        light = light - 0.055 * np.exp(-(((y - horizon) / 0.09) ** 2)) + 0.03 * floor
    grain = rng.normal(0.0, 0.003, (size, size)).astype(np.float32)
    ground: Picture = wall[:, None, None] * (light + grain)
    return ground


def _shadow(canvas: Canvas, *, stands: bool) -> Field:
    """The object's shadow on the background, 0..1."""
    covered = np.zeros((canvas.size, canvas.size), np.float32)
    for layer in canvas.layers:
        if layer.solid:
            part = covered[layer.box]
            np.maximum(part, layer.mask, out=part)
    silhouette = Image.fromarray((covered * 255).astype(np.uint8))
    size = canvas.size
    if not stands:
        near = _blurred(_shifted(silhouette, 0.012, 0.016), 0.012 * size)
        far = _blurred(_shifted(silhouette, 0.035, 0.05), 0.04 * size)
        return 0.22 * near + 0.26 * far
    rows = np.nonzero(covered.max(axis=1) > 0.5)[0]
    bottom = float(rows[-1]) if len(rows) else size * 0.9
    cast = silhouette.transform(
        silhouette.size, Image.Transform.AFFINE, _lying(bottom - 0.035 * size), Image.Resampling.BILINEAR
    )
    feet = covered.copy()
    feet[: int(bottom - 0.09 * size)] = 0.0
    under = Image.fromarray((feet * 255).astype(np.uint8))
    contact = _blurred(_shifted(under, 0.006, 0.02), 0.022 * size)
    around = _blurred(_shifted(silhouette, 0.03, 0.02), 0.06 * size)
    darkness: Field = np.clip(0.30 * _blurred(cast, 0.025 * size) + 0.42 * contact + 0.10 * around, 0.0, 0.8)
    return darkness


def _lying(hinge: float, *, squash: float = 0.24, slant: float = 1.5) -> tuple[float, ...]:
    """Output to input coordinates of a silhouette that lies to the right, hinged at its bottom row."""
    return (1.0, slant, -slant * hinge, 0.0, 1.0 / squash, hinge - hinge / squash)


def _shifted(image: Image.Image, x: float, y: float) -> Image.Image:
    out = Image.new("L", image.size)
    out.paste(image, (round(x * image.width), round(y * image.height)))
    return out


def _blurred(image: Image.Image, radius: float) -> Field:
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255
