"""How well a model finds products it never saw: `python -m training.ablations.report DATA --model builtin:small`."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from catalog.domain.space import FUSED, IMAGE
from catalog.ports import Vector
from encoders.model import Inputs, Model, to_vectors
from encoders.models.load import load
from evaluation.bm25 import words
from evaluation.markdown import table
from evaluation.retrieval_metrics import Right, Similarity, hit_at, precision_at
from training.data.products import Example, read
from training.data.splits import split

Rows = dict[str, dict[str, float]]
_BATCH = 32
# Which facets make the short queries, by the first pair that a catalogue has.
_PAIRS = (("colour", "kind"), ("baseColour", "articleType"))


@dataclass(frozen=True, slots=True)
class ProductVectors:
    """Unit vectors (products, dim) of the same products: shown whole, by photo alone, by title alone."""

    fused: NDArray[np.float32]
    photo: NDArray[np.float32]
    title: NDArray[np.float32]

    def shelves(self) -> dict[str, NDArray[np.float32]]:
        return {"fused": self.fused, "photo alone": self.photo, "title alone": self.title}


def by_title(vectors: ProductVectors, titles: Sequence[str]) -> Rows:
    """Each whole title as a query; right is any product of the same title."""
    _, number = np.unique([title.lower() for title in titles], return_inverse=True)
    right = number[:, None] == number[None, :]
    return {name: _hits(vectors.title @ shelf.T, right) for name, shelf in vectors.shelves().items()}


def by_phrase(
    vectors: ProductVectors, examples: Sequence[Example], encode: Callable[[Sequence[str]], NDArray[np.float32]]
) -> tuple[Rows, Rows]:
    """Every colour and kind as a query; right is what has both. Second: only what has a title that hides the colour."""
    colour, kind = next(pair for pair in _PAIRS if any(pair[0] in example.facets for example in examples))
    pairs = [(e.facets.get(colour, ""), e.facets.get(kind, "")) for e in examples]
    asked = sorted({pair for pair in pairs if all(pair)})
    right = np.array([[pair == query for pair in pairs] for query in asked])
    hidden = np.array(
        [
            not set(words(shade)) <= set(words(example.title))
            for (shade, _), example in zip(pairs, examples, strict=True)
        ]
    )
    queries = encode([" ".join(query).lower() for query in asked])
    shelves = {name: queries @ shelf.T for name, shelf in vectors.shelves().items()}
    whole = {name: _firsts(near, right) for name, near in shelves.items()}
    # What says its colour is taken off the shelf, so that only the photo can tell.
    only = {name: _firsts(near[:, hidden], right[:, hidden]) for name, near in shelves.items()}
    return whole, only


def by_photo(vectors: ProductVectors, examples: Sequence[Example], queries: NDArray[np.float32]) -> Rows:
    """Another view of each photo as a query: whether it finds its product, and whether what else it finds is alike."""
    colour, kind = next(pair for pair in _PAIRS if any(pair[0] in example.facets for example in examples))
    looks = [(e.facets.get(colour, ""), e.facets.get(kind, "")) for e in examples]
    _, number = np.unique([" ".join(look) for look in looks], return_inverse=True)
    own = np.eye(len(examples), dtype=bool)
    alike = (number[:, None] == number[None, :]) & ~own
    rows: Rows = {}
    for name, shelf in vectors.shelves().items():
        near = queries @ shelf.T
        others = np.where(own, -np.inf, near)
        rows[name] = {**_hits(near, own), "look-alikes P@10": precision_at(others, alike, 10)}
    return rows


def another_view(photo: Image.Image) -> Image.Image:
    """The photo mirrored, a little of each edge cut off and a little brighter: as another shop might show it."""
    width, height = photo.size
    x, y = max(1, width // 16), max(1, height // 16)
    cut = ImageOps.mirror(photo).crop((x, y, width - x, height - y))
    return cut.point([min(255, int(1.08 * level)) for level in range(256)] * 3)


def vectors(model: Model, examples: Sequence[Example]) -> ProductVectors:
    """Encode each product three ways."""
    photos = [_photo(example) for example in examples]
    whole = _encode([model.prepare(e.title, photo) for e, photo in zip(examples, photos, strict=True)], model)
    title = queries(model, [example.title for example in examples])
    return ProductVectors(whole[FUSED], whole[IMAGE], title)


def queries(model: Model, texts: Sequence[str]) -> NDArray[np.float32]:
    """Fused vectors of texts, (texts, dim)."""
    return _encode([model.prepare(text, None) for text in texts], model)[FUSED]


def _encode(inputs: Sequence[Inputs], model: Model) -> dict[str, NDArray[np.float32]]:
    rows: dict[str, list[Vector]] = {FUSED: [], IMAGE: []}
    for start in range(0, len(inputs), _BATCH):
        with np.errstate(all="ignore"):
            for name, found in model.forward_items(inputs[start : start + _BATCH]).items():
                rows[name].append(to_vectors(found))
    return {name: np.concatenate(found) for name, found in rows.items()}


def _photo(example: Example) -> Image.Image:
    return Image.open(io.BytesIO(example.photo)).convert("RGB")


def _hits(near: Similarity, right: Right) -> dict[str, float]:
    return {"recall@1": hit_at(near, right, 1), "recall@10": hit_at(near, right, 10)}


def _firsts(near: Similarity, right: Right) -> dict[str, float]:
    return {"P@1": precision_at(near, right, 1), "P@10": precision_at(near, right, 10)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.ablations.report", description=__doc__)
    parser.add_argument("data", type=Path, help="a catalogue: a parquet or JSONL file, or a folder of them")
    parser.add_argument("--model", default="builtin:small")
    parser.add_argument("--all", action="store_true", help="every product, of a catalogue no training has seen")
    parser.add_argument("--held-back", type=float, default=0.1, help="the share that training held back")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the split")
    options = parser.parse_args(arguments)
    found = read(options.data)
    rows = range(len(found)) if options.all else split(found, share=options.held_back, seed=options.seed)[1]
    examples = [found[row] for row in rows if found[row].photo]
    sys.stdout.write(report(load(options.model), examples))


def report(model: Model, examples: Sequence[Example]) -> str:
    """All findings about these products, as Markdown."""
    found = vectors(model, examples)
    views = [model.prepare("", another_view(_photo(example))) for example in examples]
    whole, only = by_phrase(found, examples, lambda texts: queries(model, texts))
    parts = {
        "A title as the query": by_title(found, [example.title for example in examples]),
        "Colour and kind as the query": whole,
        "Colour and kind, among products whose title does not name the colour": only,
        "Another view of the photo as the query": by_photo(found, examples, _encode(views, model)[FUSED]),
    }
    tables = [f"{name} ({len(examples)} products):\n\n{table(rows, first='searched')}" for name, rows in parts.items()]
    return "\n".join(tables)


if __name__ == "__main__":
    main()
