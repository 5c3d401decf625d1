"""Printed patterns, as functions of surface coordinates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]

PERIOD = 0.26
STAR_INNER = 0.45


def printed(name: str, s: Field, t: Field, *, scale: float, soft: float) -> tuple[Field, Field]:
    """The amount of ink at each point: the print, and its second ink (the centres of flowers), both 0..1.

    `s` and `t` are surface coordinates across and down. `scale` is the size of the motif (default 1). `soft` is the
    width of a pixel in the same units, over which edges are smoothed.
    """
    period = PERIOD * scale
    ink, second = _PRINTS[name](s / period, t / period, soft / period)
    return ink, second


def _edge(distance: Field, soft: float) -> Field:
    """1 if distance is negative, 0 if it is positive, smooth over a pixel."""
    ink: Field = np.clip(0.5 - distance / max(soft, 1e-4), 0.0, 1.0)
    return ink


def _cells(s: Field, t: Field) -> tuple[Field, Field]:
    """Coordinates in -0.5..0.5 within cells; every other row is shifted by half a cell."""
    row = np.floor(t)
    shifted = s + 0.5 * (row % 2)
    return (shifted - np.floor(shifted) - 0.5).astype(np.float32), (t - row - 0.5).astype(np.float32)


def _none(like: Field) -> Field:
    return np.zeros_like(like)


def _plain(s: Field, t: Field, soft: float) -> tuple[Field, Field]:
    return _none(s), _none(s)


def _bands(t: Field, soft: float) -> Field:
    return _edge(np.abs(t - np.floor(t) - 0.5) - 0.22, soft)


def _striped(s: Field, t: Field, soft: float) -> tuple[Field, Field]:
    return _bands(t * 0.9, soft), _none(s)


def _checked(s: Field, t: Field, soft: float) -> tuple[Field, Field]:
    return 0.46 * (_bands(s * 0.8, soft) + _bands(t * 0.8, soft)), _none(s)


def _zigzag(s: Field, t: Field, soft: float) -> tuple[Field, Field]:
    wave = np.abs(s * 0.8 - np.floor(s * 0.8) - 0.5) * 1.1
    return _bands((t + wave) * 0.85, soft * 1.4), _none(s)


def _dotted(s: Field, t: Field, soft: float) -> tuple[Field, Field]:
    a, b = _cells(s, t)
    return _edge(np.hypot(a, b) - 0.24, soft), _none(s)


def _floral(s: Field, t: Field, soft: float) -> tuple[Field, Field]:
    a, b = _cells(s * 0.72, t * 0.72)
    radius, angle = np.hypot(a, b), np.arctan2(b, a)
    petals = radius - 0.37 * (0.64 + 0.36 * np.cos(5 * angle))
    return _edge(petals, soft * 0.8), _edge(radius - 0.11, soft * 0.8)


def _stars(s: Field, t: Field, soft: float) -> tuple[Field, Field]:
    a, b = _cells(s * 0.82, t * 0.82)
    fifth = 2 * np.pi / 5
    angle = np.arctan2(a, -b) % fifth
    phi = np.minimum(angle, fifth - angle)
    rise = STAR_INNER * np.sin(fifth / 2)
    outline = rise / (np.cos(phi) * rise - np.sin(phi) * (STAR_INNER * np.cos(fifth / 2) - 1.0))
    return _edge((np.hypot(a, b) - 0.4 * outline).astype(np.float32), soft), _none(s)


def _hearts(s: Field, t: Field, soft: float) -> tuple[Field, Field]:
    a, b = _cells(s * 0.82, t * 0.82)
    x, y = a * 3.1, -(b - 0.03) * 3.1
    inside = np.sqrt(x**2 + (y * 1.15 - 0.75 * np.sqrt(np.abs(x))) ** 2) - 1.0
    return _edge(inside / 3.1, soft), _none(s)


_PRINTS: dict[str, Callable[[Field, Field, float], tuple[Field, Field]]] = {
    "plain": _plain,
    "striped": _striped,
    "dotted": _dotted,
    "checked": _checked,
    "floral": _floral,
    "zigzag": _zigzag,
    "stars": _stars,
    "hearts": _hearts,
}
