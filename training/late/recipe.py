"""The recipe of the fusion: every number that decides what comes out."""

from __future__ import annotations

from dataclasses import dataclass

# What a shopper may ask for in a few words, by facet, most general first. A product answers those it has facets for.
PHRASES = (
    ("articleType",),
    ("baseColour",),
    ("baseColour", "articleType"),
    ("gender", "articleType"),
    ("gender", "baseColour", "articleType"),
    ("usage", "articleType"),
    ("kind",),
    ("colour",),
    ("colour", "kind"),
    ("pattern", "kind"),
    ("material", "kind"),
    ("colour", "pattern"),
    ("colour", "pattern", "kind"),
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the heads are trained. Shares are of draws; weights are of losses; the temperature is learned from there."""

    photo_side: int = 128
    dim: int = 256
    hidden: int = 512
    seed: int = 0
    held_back: float = 0.1
    steps: int = 300
    batch: int = 1024
    rate: float = 1e-3
    decay: float = 1e-2
    temperature: float = 0.05
    phrases: tuple[tuple[str, ...], ...] = PHRASES
    fragments: int = 2
    """Pieces of its title that each product may be asked for by, drawn once."""

    ask_title: float = 0.3
    ask_fragment: float = 0.3
    show_title: float = 0.4
    show_fragment: float = 0.3
    hide_photo: float = 0.1
    keep_meaning: float = 20.0
    """Weight of staying true to the similarities the text backbone finds between any two texts."""

    plain_texts: int = 12_000
    """Words and pairs of words of no shop, on which that loss is taken."""

    image_weight: float = 1.0
    alike_weight: float = 0.3


SMOKE = Recipe(photo_side=64, dim=32, hidden=32, steps=20, batch=16, held_back=0.3, plain_texts=400)
