"""A sample catalogue, drawn from a seed: titles, prices, and photos that show more than the titles contain."""

from liveshelf.sample.catalogue import draw, jpeg, redraw, seen, unseen
from liveshelf.sample.kinds import KINDS
from liveshelf.sample.looks import COLOURS, PATTERNS, Look, Spec
from liveshelf.sample.scene import photo

__all__ = ["COLOURS", "KINDS", "PATTERNS", "Look", "Spec", "draw", "jpeg", "photo", "redraw", "seen", "unseen"]
