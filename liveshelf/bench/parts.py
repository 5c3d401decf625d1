"""What `liveshelf bench` measures, by name, each on a shop of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from catalog.errors import Misuse
from liveshelf.bench.catalogue import products
from liveshelf.bench.encode import measure_encode
from liveshelf.bench.figures import Figure
from liveshelf.bench.freshness import FreshnessPolicy, measure_freshness
from liveshelf.bench.ingest import measure_ingest
from liveshelf.bench.mix import measure_mix
from liveshelf.bench.patches import measure_patches
from liveshelf.bench.replay import measure_replay
from liveshelf.bench.shop import Shop, open_shop
from liveshelf.bench.stages import measure_stages
from liveshelf.settings import Settings

Part = Callable[[Shop, Path, int], list[Figure]]

# Of the catalogue, the shop and `items` products each makes its figures. What is to be measured too is one line here.
PARTS: dict[str, Part] = {
    "encode": lambda shop, path, items: measure_encode(shop.settings, path, items=items),
    "ingest": lambda shop, path, items: measure_ingest(shop, path, items=items),
    "mix": lambda shop, path, items: measure_mix(shop, path, items=items, events=2 * items),
    "freshness": lambda shop, path, items: measure_freshness(shop, path, items=items, policy=_freshness(items)),
    "replay": lambda shop, path, items: measure_replay(shop, path, items=items),
    "patches": lambda shop, path, items: measure_patches(shop, path, items=items, events=10 * items),
    "stages": lambda shop, path, items: measure_stages(shop, path, items=items),
}


def _freshness(items: int) -> FreshnessPolicy:
    return FreshnessPolicy(burst=items, seconds=min(30.0, max(3.0, items / 50)))


def measure(settings: Settings, path: Path, *, part: str, items: int) -> list[Figure]:
    """The figures of one part. Raises Misuse for a catalogue without products, and what broker and engine raise."""
    if next(products(path, 1), None) is None:
        raise Misuse(f"No row of {path} is a product: see `liveshelf backfill --help` for what is read.")
    with open_shop(settings, photos=path) as shop:
        return PARTS[part](shop, path, items)


def chosen(only: str | None) -> Sequence[str]:
    """The parts of a comma-separated list, all for none. Raises Misuse for a name that is none."""
    names = [name.strip() for name in only.split(",")] if only else list(PARTS)
    if strange := [name for name in names if name not in PARTS]:
        raise Misuse(f"There is no part {strange[0]!r} to measure: the parts are {', '.join(PARTS)}.")
    return names
