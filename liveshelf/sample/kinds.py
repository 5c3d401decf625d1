"""The kinds of products of the sample shop, and the traits that vary in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from liveshelf.sample.canvas import Canvas
from liveshelf.sample.drawings import accessories, apparel, bags, footwear, home, tableware
from liveshelf.sample.looks import PATTERNS


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind is drawn, and its visible traits. `part` names the part that has its own colour.

    `zoom` and `middle` centre it in the photo at a good size: some drawings are small in their own coordinates, and
    some are off centre.
    """

    draw: Callable[[Canvas], None]
    part: str
    shapes: tuple[str, ...]
    patterns: tuple[str, ...] = PATTERNS
    stands: bool = True
    mirrors: bool = True
    zoom: float = 1.0
    middle: tuple[float, float] = (0.0, 0.0)


_SLIGHT = ("plain", "striped", "dotted", "checked", "zigzag")

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "mug": Kind(tableware.mug, "handle", ("straight", "round", "tall"), zoom=1.16, middle=(0.14, 0.0)),
        "bowl": Kind(tableware.bowl, "inside", ("wide", "deep", "footed"), zoom=1.06, middle=(0.0, 0.08)),
        "teapot": Kind(tableware.teapot, "lid", ("round", "squat", "tall"), zoom=1.0, middle=(0.0, 0.06)),
        "bottle": Kind(tableware.bottle, "cap", ("slim", "wide", "curved")),
        "vase": Kind(tableware.vase, "foot", ("round", "tall", "flared"), zoom=1.04),
        "lamp": Kind(home.lamp, "base", ("cone", "drum", "dome")),
        "chair": Kind(home.chair, "legs", ("square", "round", "armchair")),
        "clock": Kind(home.clock, "frame", ("round", "square", "octagon"), stands=False, mirrors=False),
        "cushion": Kind(home.cushion, "piping", ("square", "round", "oblong"), stands=False),
        "plant pot": Kind(home.plant_pot, "saucer", ("tapered", "round", "rimmed"), zoom=1.06, middle=(0.0, -0.02)),
        "candle": Kind(home.candle, "dish", ("pillar", "wide", "taper"), zoom=1.12, middle=(0.0, -0.02)),
        "t-shirt": Kind(apparel.t_shirt, "collar", ("crew", "v-neck", "long-sleeved"), stands=False, zoom=1.06),
        "dress": Kind(apparel.dress, "belt", ("flared", "straight", "sleeved"), stands=False, zoom=1.06),
        "hat": Kind(apparel.hat, "band", ("wide-brimmed", "bucket", "cap"), zoom=1.06, middle=(0.0, -0.12)),
        "shoe": Kind(footwear.shoe, "sole", ("low", "high-top", "slip-on"), zoom=1.04, middle=(0.0, 0.08)),
        "bag": Kind(bags.bag, "handles", ("tote", "round", "satchel")),
        "backpack": Kind(bags.backpack, "pocket", ("round", "square", "roll-top")),
        "watch": Kind(accessories.watch, "face", ("round", "square", "oval"), _SLIGHT, stands=False, mirrors=False),
        "umbrella": Kind(
            accessories.umbrella, "handle", ("domed", "shallow", "folded"), stands=False, zoom=1.02, middle=(0.0, 0.03)
        ),
        "glasses": Kind(
            accessories.glasses,
            "lenses",
            ("round", "square", "cat-eye"),
            _SLIGHT,
            stands=False,
            zoom=1.04,
            middle=(0.0, -0.1),
        ),
    }
)
