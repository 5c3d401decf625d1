"""A sample catalogue, drawn from a seed: titles, prices, and photos that show more than the titles contain."""

from liveshelf.sample.catalogue import COUNT, draw, is_drawn, jpeg, redraw, seen, unseen
from liveshelf.sample.kinds import KINDS
from liveshelf.sample.looks import COLOURS, PATTERNS, Look, Spec
from liveshelf.sample.scene import photo

__all__ = [
    "COLOURS",
    "COUNT",
    "KINDS",
    "PATTERNS",
    "Look",
    "Spec",
    "draw",
    "is_drawn",
    "jpeg",
    "photo",
    "redraw",
    "seen",
    "unseen",
]
