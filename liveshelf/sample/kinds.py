"""The kinds of thing the sample shop sells, and what can vary about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from liveshelf.sample import accessories, apparel, home, tableware
from liveshelf.sample.canvas import Canvas
from liveshelf.sample.looks import PATTERNS


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind is drawn and what can be seen of it; `part` is the word for what has a colour of its own."""

    draw: Callable[[Canvas], None]
    part: str
    shapes: tuple[str, ...]
    patterns: tuple[str, ...] = PATTERNS
    stands: bool = True
    mirrors: bool = True


_SLIGHT = ("plain", "striped", "dotted", "checked", "zigzag")

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "mug": Kind(tableware.mug, "handle", ("straight", "round", "tall")),
        "bowl": Kind(tableware.bowl, "inside", ("wide", "deep", "footed")),
        "teapot": Kind(tableware.teapot, "lid", ("round", "squat", "tall")),
        "bottle": Kind(tableware.bottle, "cap", ("slim", "wide", "curved")),
        "vase": Kind(tableware.vase, "foot", ("round", "tall", "flared")),
        "lamp": Kind(home.lamp, "base", ("cone", "drum", "dome")),
        "chair": Kind(home.chair, "legs", ("square", "round", "armchair")),
        "clock": Kind(home.clock, "frame", ("round", "square", "octagon"), stands=False, mirrors=False),
        "cushion": Kind(home.cushion, "piping", ("square", "round", "oblong"), stands=False),
        "plant pot": Kind(home.plant_pot, "saucer", ("tapered", "round", "rimmed")),
        "candle": Kind(home.candle, "dish", ("pillar", "wide", "taper")),
        "t-shirt": Kind(apparel.t_shirt, "collar", ("crew", "v-neck", "long-sleeved"), stands=False),
        "dress": Kind(apparel.dress, "belt", ("flared", "straight", "sleeved"), stands=False),
        "hat": Kind(apparel.hat, "band", ("wide-brimmed", "bucket", "cap")),
        "shoe": Kind(apparel.shoe, "sole", ("low", "high-top", "slip-on")),
        "bag": Kind(accessories.bag, "handles", ("tote", "round", "satchel")),
        "backpack": Kind(accessories.backpack, "pocket", ("round", "square", "roll-top")),
        "watch": Kind(accessories.watch, "face", ("round", "square", "oval"), _SLIGHT, stands=False, mirrors=False),
        "umbrella": Kind(accessories.umbrella, "handle", ("domed", "shallow", "folded"), stands=False),
        "glasses": Kind(accessories.glasses, "lenses", ("round", "square", "cat-eye"), _SLIGHT, stands=False),
    }
)
