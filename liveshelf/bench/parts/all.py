"""The parts of `liveshelf bench` by name, each on its own shop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from catalog.errors import InvalidInput
from liveshelf.bench.harness.catalogue import products
from liveshelf.bench.harness.figures import Figure
from liveshelf.bench.harness.shop import Shop, open_shop
from liveshelf.bench.parts.encode import measure_encode
from liveshelf.bench.parts.freshness import FreshnessPolicy, measure_freshness
from liveshelf.bench.parts.ingest import measure_ingest
from liveshelf.bench.parts.mix import measure_mix
from liveshelf.bench.parts.patches import measure_patches
from liveshelf.bench.parts.replay import measure_replay
from liveshelf.bench.parts.stages import measure_stages
from liveshelf.settings import Settings

Part = Callable[[Settings, Path, int], list[Figure]]


def _in_shop(part: Callable[[Shop, Path, int], list[Figure]]) -> Part:
    def measured(settings: Settings, path: Path, items: int) -> list[Figure]:
        with open_shop(settings, photos=path) as shop:
            return part(shop, path, items)

    return measured


# Each part measures the catalogue's first `items` products. A new part is one line here.
PARTS: dict[str, Part] = {
    "encode": lambda settings, path, items: measure_encode(settings, path, items=items),
    "ingest": _in_shop(lambda shop, path, items: measure_ingest(shop, path, items=items)),
    "mix": _in_shop(lambda shop, path, items: measure_mix(shop, path, items=items, events=2 * items)),
    "freshness": _in_shop(
        lambda shop, path, items: measure_freshness(shop, path, items=items, policy=_freshness(items))
    ),
    "replay": _in_shop(lambda shop, path, items: measure_replay(shop, path, items=items)),
    "patches": _in_shop(lambda shop, path, items: measure_patches(shop, path, items=items, events=10 * items)),
    "stages": _in_shop(lambda shop, path, items: measure_stages(shop, path, items=items)),
}


def _freshness(items: int) -> FreshnessPolicy:
    return FreshnessPolicy(burst=items, seconds=min(30.0, max(3.0, items / 50)))


def measure(settings: Settings, path: Path, *, part: str, items: int) -> list[Figure]:
    """Measures one part.

    Raises InvalidInput for a catalogue without products, and the errors of broker and engine.
    """
    if next(products(path, 1), None) is None:
        raise InvalidInput(f"No row of {path} is a product: see `liveshelf backfill --help` for the accepted formats.")
    return PARTS[part](settings, path, items)


def parse_parts(words: Sequence[str]) -> tuple[Sequence[str], Path | None]:
    """The named parts (all if none is named), and the catalogue if one is named.

    Raises InvalidInput for a word that is neither a part nor a path, and for a second catalogue.
    """
    others = [word for word in words if word not in PARTS]
    if unknown := [word for word in others if not Path(word).exists()]:
        raise InvalidInput(f"{unknown[0]!r} is neither a part nor a file: the parts are {', '.join(PARTS)}.")
    if len(others) > 1:
        raise InvalidInput(f"Two catalogues are given, {others[0]} and {others[1]}: name one.")
    return [word for word in words if word in PARTS] or list(PARTS), Path(others[0]) if others else None
