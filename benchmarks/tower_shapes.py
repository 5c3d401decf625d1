"""CPU time of a tower by the shape of the call before, and of a query by its padding, on one thread.

    python -m benchmarks.tower_shapes [--rounds 30] [--precision auto|int8|float32]

In the columns "another", a call of another length and batch size comes between. Queries have three to ten
random tokens.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from encoders.models.load import BUILTIN
from encoders.runtime.plans import grid_plan, part_plan, text_plan
from encoders.runtime.prepare import TowerLoader
from encoders.runtime.tower import Array, Tower
from encoders.towers.backbone_files import files, padded
from encoders.towers.dims import shape_of
from liveshelf.settings import Settings, load_settings
from liveshelf.wiring.encoder import runtime_policy_of

PRODUCTS = (1, 2, 4, 8, 16)
TITLE = 11  # tokens
OTHERS = ((3, 9), (5, 10), (6, 12), (7, 13))  # products and tokens of the calls in between
PADDED = {"its own": (), "8 or 16": (8, 16), "12 or 16": (12, 16), "16": (16,)}


class Towers:
    """The towers of `builtin:small`, and random inputs for them."""

    def __init__(self, settings: Settings) -> None:
        self.shape = shape_of(BUILTIN)
        words, _, lite0 = files()
        workshop = TowerLoader(runtime_policy_of(settings), "cpu")
        self.text, self.query = (
            workshop.tower(text_plan(words)),
            workshop.tower(part_plan(BUILTIN, "query", self.shape)),
        )
        self.photo = workshop.tower(grid_plan(lite0, self.shape.photo_side))
        self.views = workshop.tower(part_plan(BUILTIN, "views", self.shape))
        self.says = workshop.says
        self.draw = np.random.default_rng(0)

    def calls(self, products: int, tokens: int) -> dict[str, tuple[Tower, tuple[Array, ...]]]:
        """Each tower with inputs of that shape."""
        ids, seen = self.draw.integers(1000, 30_000, (products, tokens)), np.ones((products, tokens), np.bool_)
        side = self.shape.photo_side
        photos = self.draw.integers(0, 256, (products, side, side, 3), dtype=np.uint8)
        states = self.draw.standard_normal((products, tokens, 384), dtype=np.float32)
        grids = self.draw.standard_normal((products, self.shape.features), dtype=np.float32)
        return {"text": (self.text, (ids, seen)), "photo": (self.photo, (photos,)),
                "vectors": (self.views, (states, seen, grids))}  # fmt: skip


def by_shape(towers: Towers, rounds: int) -> None:
    took: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for n in range(1 + rounds):
        for products in PRODUCTS:
            others = towers.calls(*OTHERS[n % len(OTHERS)])
            for name, (tower, inputs) in towers.calls(products, TITLE).items():
                for before, (_, between) in (("same", (tower, inputs)), ("another", others[name])):
                    tower(*between)
                    began = time.thread_time()
                    tower(*inputs)
                    took[name, products, before].append(1000 * (time.thread_time() - began))
    print("| products | text: same, another | photo | the three vectors |\n|---:|---:|---:|---:|")
    for products in PRODUCTS:
        cells = (
            ", ".join(f"{np.median(took[name, products, before][1:]):.1f}" for before in ("same", "another")) + " ms"
            for name in ("text", "photo", "vectors")
        )
        print(f"| {products} | {' | '.join(cells)} |")


def by_padding(towers: Towers, rounds: int) -> None:
    took: dict[str, list[float]] = defaultdict(list)
    for _ in range(1 + rounds):
        for name, lengths in PADDED.items():
            for _ in range(10):
                tokens = towers.draw.integers(1000, 30_000, towers.draw.integers(3, 11)).tolist()
                began = time.thread_time()
                ids, seen = padded([tokens], lengths=lengths)
                towers.query(towers.text(ids, seen), seen)
                took[name].append(1000 * (time.thread_time() - began))
    print("\n| a query alone is padded to | CPU, median |\n|---|---:|")
    for name, ms in took.items():
        print(f"| {name} | {np.median(ms[10:]):.2f} ms |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--precision", choices=("auto", "int8", "float32"), default="auto")
    options = parser.parse_args()
    towers = Towers(load_settings(encoder_threads=1, precision=options.precision))
    print(f"{towers.says}, one thread\n")
    with ThreadPoolExecutor(1) as thread:  # on the main thread, each call would be handed to another thread
        thread.submit(by_shape, towers, options.rounds).result()
        thread.submit(by_padding, towers, options.rounds).result()


if __name__ == "__main__":
    main()
