"""The text of a product: brand, title, material, price. Never a trait that only the photo shows."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import TypeVar

import numpy as np

T = TypeVar("T")

BRANDS = (
    "Arbour", "Bexley & Finch", "Calder Works", "Dunmore", "Eastwick", "Fennimore", "Galloway Lane", "Hartmere",
    "Inkwell Home", "Juniper Row", "Kestrelle", "Lowen", "Marlstone", "Nordhus", "Oakhollow", "Pellard",
    "Quillon", "Ravenby", "Solvane", "Tamsin Hart", "Umbrel", "Velloro", "Wrenfield", "Yarrowby",
)  # fmt: skip
COLLECTIONS = (
    "Linden", "Harbour", "Solstice", "Meridian", "Alder", "Brook", "Cascade", "Drift", "Ember", "Fjord", "Grove",
    "Haven", "Isla", "Juno", "Kite", "Larch", "Moor", "Nova", "Orchard", "Prairie", "Quay", "Ridge", "Sonata",
    "Tundra", "Upland", "Verona", "Willow", "Yonder", "Zephyr", "Atlas", "Breeze", "Cove", "Delta", "Everly",
    "Folio", "Gable", "Hollow", "Indra", "Jolie", "Kindred", "Lark", "Mistral", "Nomad", "Opal Bay", "Picnic",
    "Riva", "Summit", "Tempo",
)  # fmt: skip
DESIGNS_WITH = (0.62, 0.28, 0.10)  # share of designs with one, two, three looks under the same title
UNAVAILABLE = 0.05
CURRENCY = "EUR"


@dataclass(frozen=True, slots=True)
class Trade:
    """How a kind is sold: category, nouns, materials, further details, and the price range in EUR."""

    category: str
    nouns: tuple[str, ...]
    materials: tuple[str, ...]
    details: tuple[str, ...]
    prices: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Design:
    """The text that several looks of one product share."""

    brand: str
    collection: str
    material: str
    title: str
    price: float


def _trades() -> Mapping[str, Trade]:
    rows = tomllib.loads(resources.files("liveshelf.sample").joinpath("trades.toml").read_text(encoding="utf-8"))
    return MappingProxyType(
        {
            kind: Trade(
                category=row["category"],
                nouns=tuple(row["nouns"]),
                materials=tuple(row["materials"]),
                details=tuple(row["details"]),
                prices=(row["prices"][0], row["prices"][1]),
            )
            for kind, row in rows.items()
        }
    )


TRADES = _trades()
ENDINGS = (0.0, 0.5, 0.9, 0.95, 0.99)


def design(kind: str, rng: np.random.Generator) -> Design:
    """A random product line of this kind."""
    trade = TRADES[kind]
    brand, collection = _choice(BRANDS, rng), _choice(COLLECTIONS, rng)
    noun, material, detail = _choice(trade.nouns, rng), _choice(trade.materials, rng), _choice(trade.details, rng)
    forms = (
        f"{brand} {collection} {material} {noun}, {detail}",
        f"{brand} {collection} {noun}, {material}",
        f"{brand} {collection} {material} {noun}",
        f"{collection} {noun} by {brand}, {detail}",
        f"{noun.capitalize()} {collection}, {material}, {detail} - {brand}",
    )
    low, high = trade.prices
    # Most products are cheap and a few are expensive.
    euros = np.floor(low + (high - low) * float(rng.beta(1.6, 3.0)))
    return Design(brand, collection, material, _choice(forms, rng), float(round(euros + _choice(ENDINGS, rng), 2)))


def _choice(choices: tuple[T, ...], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]
