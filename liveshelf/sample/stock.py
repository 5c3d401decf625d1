"""The products of the sample shop, chosen from a seed before drawing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from liveshelf.sample.kinds import KINDS
from liveshelf.sample.looks import COLOURS, Look, Spec
from liveshelf.sample.naming import CURRENCY, DESIGNS_WITH, TRADES, UNAVAILABLE, Design, design

PLAIN_SHARE = 0.25
VIEWS = 2**31


@dataclass(frozen=True, slots=True)
class SampleProduct:
    """One product: its text, and the look of its photo."""

    id: str
    design: Design
    spec: Spec
    available: bool

    @property
    def event(self) -> dict[str, object]:
        """The product event, as a shop would publish it."""
        d = self.design
        attributes = {
            "brand": d.brand,
            "category": TRADES[self.spec.look.kind].category,
            "material": d.material,
            "collection": d.collection,
        }
        return {
            "op": "put",
            "id": self.id,
            "title": d.title,
            "images": [f"images/{self.id}.jpg"],
            "attributes": attributes,
            "offer": {"price": d.price, "currency": CURRENCY, "available": self.available},
        }

    @property
    def seen(self) -> dict[str, object]:
        """The traits that only the photo shows."""
        look = self.spec.look
        return {
            "id": self.id,
            "kind": look.kind,
            "shape": look.shape,
            "colour": look.colour,
            "pattern": look.pattern,
            "part": KINDS[look.kind].part,
            "part_colour": look.part,
            "view": self.spec.view,
        }


def stock(count: int, seed: int) -> list[SampleProduct]:
    """`count` products with distinct looks, cycling through the kinds."""
    rng = np.random.default_rng(seed)
    taken: set[Look] = set()
    lines = {kind: _products(kind, rng, taken) for kind in KINDS}
    names = tuple(KINDS)
    items = []
    for number in range(count):
        line, spec = next(lines[names[number % len(names)]])
        items.append(SampleProduct(f"sku-{number + 1:05d}", line, spec, bool(rng.random() >= UNAVAILABLE)))
    return items


def some_look(kind: str, rng: np.random.Generator, *, other_than: Collection[Look] = ()) -> Look:
    """A random look of this kind that is not in `other_than`."""
    traits = KINDS[kind]
    while True:
        plain = rng.random() < PLAIN_SHARE
        pattern = "plain" if plain else traits.patterns[1 + int(rng.integers(len(traits.patterns) - 1))]
        main = COLOURS[int(rng.integers(len(COLOURS)))]
        rest = [colour for colour in COLOURS if colour != main]
        shape = traits.shapes[int(rng.integers(len(traits.shapes)))]
        look = Look(kind, shape, main, pattern, rest[int(rng.integers(len(rest)))])
        if look not in other_than:
            return look


def _products(kind: str, rng: np.random.Generator, taken: set[Look]) -> Iterator[tuple[Design, Spec]]:
    while True:
        line = design(kind, rng)
        for _ in range(1 + int(rng.choice(len(DESIGNS_WITH), p=DESIGNS_WITH))):
            look = some_look(kind, rng, other_than=taken)
            taken.add(look)
            yield line, Spec(look, int(rng.integers(VIEWS)))
