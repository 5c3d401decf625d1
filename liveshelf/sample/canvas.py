"""A canvas for one object: masks in the object's coordinates, and shaded surfaces in layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from liveshelf.sample.looks import Colour, Look, accent, rgb
from liveshelf.sample.outlines import Outline
from liveshelf.sample.patterns import Field, printed

Picture = NDArray[np.floating[Any]]  # (3, size, size), 0..1: planes, so that a field multiplies all three
Normal = tuple[Field, Field, Field]  # x, y, towards the viewer; unit length
Box = tuple[slice, slice]  # rows and columns

FINE = 4  # masks are drawn at this multiple of the resolution and averaged, the only anti-aliasing


class Layer(NamedTuple):
    """A surface: its mask, its picture and its box in the photo; `solid` if it casts a shadow."""

    mask: Field
    picture: Picture
    box: Box
    solid: bool = True


@dataclass(frozen=True, slots=True)
class Pose:
    """The object's pose: rotation in radians, zoom (1 fills the frame), shift, mirrored or not."""

    rotation: float = 0.0
    zoom: float = 0.9
    x: float = 0.0
    y: float = 0.0
    mirror: bool = False


class Canvas:
    """The layers of one photo of `size` pixels a side. Objects are drawn in their own coordinates (see outlines)."""

    def __init__(self, look: Look, *, size: int, pose: Pose, rng: np.random.Generator) -> None:
        self.look = look
        self.size = size
        self.rng = rng
        self.layers: list[Layer] = []
        self.soft = 2.0 / (size * pose.zoom)
        side = -1.0 if pose.mirror else 1.0
        cos, sin = np.cos(pose.rotation), np.sin(pose.rotation)
        self._matrix = 0.5 * pose.zoom * np.array([[cos * side, -sin], [sin * side, cos]])
        self._axes = (self._matrix / np.linalg.norm(self._matrix[:, 1])).astype(np.float32)
        self._offset = np.array([0.5 + pose.x, 0.5 + pose.y])
        at = (np.arange(size, dtype=np.float32) + 0.5) / size
        px, py = at[None, :] - self._offset[0], at[:, None] - self._offset[1]
        back = np.linalg.inv(self._matrix).astype(np.float32)
        self.x: Field = back[0, 0] * px + back[0, 1] * py
        self.y: Field = back[1, 0] * px + back[1, 1] * py
        light = np.array([-0.5 * side, -0.58, 0.64])
        self.light = light / np.linalg.norm(light)
        tint = rng.normal(0.0, 0.018, 3).astype(np.float32)
        self.colour: Colour = np.clip(rgb(look.colour) * float(rng.uniform(0.94, 1.05)) + tint, 0.0, 1.0)
        self.part: Colour = np.clip(rgb(look.part) * float(rng.uniform(0.94, 1.05)), 0.0, 1.0)
        self.ink: Colour = accent(look.colour, float(rng.random()))
        self.scale = float(rng.uniform(0.85, 1.2))

    def fill(self, *outlines: Outline, cut: tuple[Outline, ...] = ()) -> Field:
        """The share of each pixel that is inside one of the outlines and outside all of `cut`."""
        solid = [self._pixels(outline) for outline in outlines]
        x0, y0, sheet = self._sheet(solid, margin=0)
        pen = ImageDraw.Draw(sheet)
        for ink, shapes in ((255, solid), (0, [self._pixels(outline) for outline in cut])):
            for at in shapes:
                pen.polygon(_flat(at - (x0, y0)), fill=ink)
        return self._field(x0, y0, sheet)

    def stroke(self, *lines: Outline, width: float) -> Field:
        """The share of each pixel under lines of this width, with round ends."""
        wide = max(1, round(width * self.size * FINE * float(np.linalg.norm(self._matrix[:, 1]))))
        paths = [self._pixels(line) for line in lines]
        x0, y0, sheet = self._sheet(paths, margin=wide)
        pen = ImageDraw.Draw(sheet)
        for path in paths:
            at = path - (x0, y0)
            pen.line(_flat(at), fill=255, width=wide, joint="curve")
            for x, y in (at[0], at[-1]):
                pen.ellipse((x - wide / 2, y - wide / 2, x + wide / 2, y + wide / 2), fill=255)
        return self._field(x0, y0, sheet)

    def add(self, mask: Field, picture: Picture) -> None:
        """Add a surface on top."""
        self._lay(mask, picture, self._box(mask), solid=True)

    def glow(self, mask: Field, picture: Picture) -> None:
        """Add light on top; light casts no shadow."""
        self._lay(mask, picture, self._box(mask), solid=False)

    def print(self, s: Field, t: Field, *, scale: float = 1.0) -> Picture:
        """The object's colour and pattern at surface coordinates `s` across and `t` down."""
        ink, second = printed(self.look.pattern, s, t, scale=self.scale * scale, soft=self.soft)
        ground = self.plain(self.colour)
        picture = ground + ink * self.plain(self.ink - self.colour)
        return picture + second * (self.plain(rgb("yellow") * 0.95) - picture) if second.any() else picture

    def plain(self, colour: Colour) -> Picture:
        """A picture of one colour."""
        return np.broadcast_to(colour.astype(np.float32)[:, None, None], (3, self.size, self.size))

    def lit(self, picture: Picture, normal: Normal, *, gloss: float = 0.0) -> Picture:
        """The surface with soft light from the upper left and a highlight of strength `gloss`."""
        nx, ny, nz = normal
        lx, ly, lz = (float(v) for v in self.light)
        facing = nx * lx + ny * ly + nz * lz
        bright = 0.52 + 0.6 * np.clip(facing, -0.25, 1.0)
        out: Picture = picture * bright
        if gloss:
            half = np.add(self.light, (0.0, 0.0, 1.0))
            hx, hy, hz = (float(v) for v in half / np.linalg.norm(half))
            shine = np.clip(nx * hx + ny * hy + nz * hz, 0.0, 1.0)
            wide = np.square(np.square(np.square(np.square(shine))))
            narrow = np.square(np.square(wide))
            out += gloss * (0.18 * wide + 0.5 * narrow)
        return out

    def puff(
        self, mask: Field, picture: Picture, *, depth: float = 1.0, blur: float = 0.12, gloss: float = 0.0
    ) -> None:
        """Add a surface that bulges towards the viewer."""
        radius = max(0.6, blur * self.size / 2)
        # Most masks are small: only their box and the reach of the blur are computed.
        box = self._box(mask, margin=int(3 * radius) + 2)
        normal = _swelled(mask[box], radius=radius, steep=depth * radius * 2.2, axes=self._axes)
        lit = self.lit(picture[(slice(None), *box)], normal, gloss=gloss)
        self.layers.append(Layer(mask[box], lit, box))

    def folds(self, strength: float, *, cells: int = 5) -> Field:
        """Soft irregular brightness around 1, as on cloth."""
        noise = (self.rng.random((cells, cells)) * 255).astype(np.uint8)
        grown = Image.fromarray(noise).resize((self.size, self.size), Image.Resampling.BICUBIC)
        return 1.0 + strength * (np.asarray(grown, np.float32) / 127.5 - 1.0)

    def _lay(self, mask: Field, picture: Picture, box: Box, *, solid: bool) -> None:
        self.layers.append(Layer(mask[box], picture[(slice(None), *box)], box, solid))

    def _box(self, mask: Field, *, margin: int = 0) -> Box:
        """The box of a mask, with `margin` pixels around it."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return slice(0, 1), slice(0, 1)
        return (
            slice(max(0, int(rows[0]) - margin), int(rows[-1]) + margin + 1),
            slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin + 1),
        )

    def _pixels(self, outline: Outline) -> Outline:
        """An outline in pixels of the photo times FINE."""
        at: Outline = (outline @ self._matrix.T + self._offset) * (self.size * FINE)
        return at

    def _sheet(self, shapes: Sequence[Outline], *, margin: int) -> tuple[int, int, Image.Image]:
        """The left and top of the shapes' box, in pixels times FINE, and an empty mask of its size."""
        points = np.vstack(shapes)
        low = np.floor((points.min(axis=0) - margin) / FINE).clip(0, self.size - 1).astype(int) * FINE
        high = np.ceil((points.max(axis=0) + margin + 1) / FINE).clip(1, self.size).astype(int) * FINE
        wide, tall = (int(v) for v in np.maximum(high - low, FINE))
        return int(low[0]), int(low[1]), Image.new("L", (wide, tall))

    def _field(self, x: int, y: int, sheet: Image.Image) -> Field:
        small = np.asarray(sheet.reduce(FINE), np.float32) / 255
        field = np.zeros((self.size, self.size), np.float32)
        rows, columns = small.shape
        field[y // FINE : y // FINE + rows, x // FINE : x // FINE + columns] = small
        return field


def _flat(points: Outline) -> list[float]:
    return points.ravel().tolist()


def _swelled(mask: Field, *, radius: float, steep: float, axes: NDArray[np.float32]) -> Normal:
    """The normals of a mask that bulges like a cushion, rising up to `radius` pixels in from its edge.

    `axes` rotates directions on the picture into directions of the object.
    """
    fine = Image.fromarray((mask * 255).astype(np.uint8))
    height = np.asarray(fine.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255
    across, down = _slopes(height)
    x = -steep * (axes[0, 0] * across + axes[1, 0] * down)
    y = -steep * (axes[0, 1] * across + axes[1, 1] * down)
    level = 1.0 / np.sqrt(x**2 + y**2 + 1.0)
    return x * level, y * level, level


def _slopes(height: Field) -> tuple[Field, Field]:
    """The gradient of a field per pixel, across and down; 0 at the border."""
    across, down = np.zeros_like(height), np.zeros_like(height)
    across[:, 1:-1] = (height[:, 2:] - height[:, :-2]) * 0.5
    down[1:-1] = (height[2:] - height[:-2]) * 0.5
    return across, down
