"""How well a model finds products it was not trained on: `python -m training.ablations.report DATA --model NAME`.

In the metrics, `similarity` is float (queries, items) and `relevant` bool of the same shape; ties are broken by
position.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Mapping, Sequence
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
from training.data.products import Example, read
from training.data.splits import split

Rows = dict[str, dict[str, float]]
Similarity = NDArray[np.floating]
Relevant = NDArray[np.bool_]
_BATCH = 32
# The facets of short queries; the first pair that the catalogue has is used.
_FACET_PAIRS = (("colour", "kind"), ("baseColour", "articleType"))


@dataclass(frozen=True, slots=True)
class ProductVectors:
    """Unit vectors (products, dim) of the same products: whole, by photo alone, by title alone."""

    fused: NDArray[np.float32]
    photo: NDArray[np.float32]
    title: NDArray[np.float32]

    def by_name(self) -> dict[str, NDArray[np.float32]]:
        return {"fused": self.fused, "photo alone": self.photo, "title alone": self.title}


def by_title(vectors: ProductVectors, titles: Sequence[str]) -> Rows:
    """Each title as a query; relevant is every product with the same title."""
    _, number = np.unique([title.lower() for title in titles], return_inverse=True)
    relevant = number[:, None] == number[None, :]
    return {name: _hit_rates(vectors.title @ items.T, relevant) for name, items in vectors.by_name().items()}


def by_phrase(
    vectors: ProductVectors, examples: Sequence[Example], encode: Callable[[Sequence[str]], NDArray[np.float32]]
) -> tuple[Rows, Rows]:
    """Every colour and kind as a query; relevant is each product with both.

    The second table is of products whose title omits the colour.
    """
    colour, kind = next(pair for pair in _FACET_PAIRS if any(pair[0] in example.facets for example in examples))
    pairs = [(e.facets.get(colour, ""), e.facets.get(kind, "")) for e in examples]
    texts = sorted({pair for pair in pairs if all(pair)})
    relevant = np.array([[pair == query for pair in pairs] for query in texts])
    hidden = np.array(
        [
            not set(words(shade)) <= set(words(example.title))
            for (shade, _), example in zip(pairs, examples, strict=True)
        ]
    )
    queries = encode([" ".join(query).lower() for query in texts])
    similarities = {name: queries @ items.T for name, items in vectors.by_name().items()}
    everywhere = {name: _precisions(similarity, relevant) for name, similarity in similarities.items()}
    # Without products whose title names the colour, only the photo can show it.
    by_look = {
        name: _precisions(similarity[:, hidden], relevant[:, hidden]) for name, similarity in similarities.items()
    }
    return everywhere, by_look


def by_photo(vectors: ProductVectors, examples: Sequence[Example], queries: NDArray[np.float32]) -> Rows:
    """Another view of each photo as a query: whether it finds its product, and products of the same colour and kind."""
    colour, kind = next(pair for pair in _FACET_PAIRS if any(pair[0] in example.facets for example in examples))
    looks = [(e.facets.get(colour, ""), e.facets.get(kind, "")) for e in examples]
    _, number = np.unique([" ".join(look) for look in looks], return_inverse=True)
    own = np.eye(len(examples), dtype=bool)
    similar = (number[:, None] == number[None, :]) & ~own
    rows: Rows = {}
    for name, items in vectors.by_name().items():
        similarity = queries @ items.T
        others = np.where(own, -np.inf, similarity)
        rows[name] = {**_hit_rates(similarity, own), "look-alikes P@10": precision_at(others, similar, 10)}
    return rows


def another_view(photo: Image.Image) -> Image.Image:
    """The photo mirrored, slightly cropped and slightly brighter, as another shop might show it."""
    width, height = photo.size
    x, y = max(1, width // 16), max(1, height // 16)
    cropped = ImageOps.mirror(photo).crop((x, y, width - x, height - y))
    return cropped.point([min(255, int(1.08 * level)) for level in range(256)] * 3)


def vectors(model: Model, examples: Sequence[Example]) -> ProductVectors:
    """Encode each product in three ways."""
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
            for name, batch in model.forward_items(inputs[start : start + _BATCH]).items():
                rows[name].append(to_vectors(batch))
    return {name: np.concatenate(batches) for name, batches in rows.items()}


def _photo(example: Example) -> Image.Image:
    return Image.open(io.BytesIO(example.photo)).convert("RGB")


def _hit_rates(similarity: Similarity, relevant: Relevant) -> dict[str, float]:
    return {f"recall@{k}": hit_rate_at(similarity, relevant, k) for k in (1, 10)}


def _precisions(similarity: Similarity, relevant: Relevant) -> dict[str, float]:
    return {f"P@{k}": precision_at(similarity, relevant, k) for k in (1, 10)}


def ranked(similarity: Similarity, relevant: Relevant, k: int) -> Relevant:
    """Bool (queries, min(k, items)): whether the item at each place, best first, is relevant."""
    if similarity.shape != relevant.shape:
        raise ValueError(f"similarity is {similarity.shape} but relevant is {relevant.shape}: they must agree")
    if k < 1:
        raise ValueError(f"k is {k}: it must be at least 1")
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(relevant, order, axis=1)


def hit_rate_at(similarity: Similarity, relevant: Relevant, k: int) -> float:
    """The share of queries with a relevant item among the first k: recall@k if each query has one relevant item."""
    return _mean(ranked(similarity, relevant, k).any(1).astype(float), relevant)


def precision_at(similarity: Similarity, relevant: Relevant, k: int) -> float:
    """The share of relevant items among the first k, or among as many as could be relevant; the mean over queries."""
    hits = ranked(similarity, relevant, k).sum(1)
    return _mean(hits / np.maximum(np.minimum(relevant.sum(1), k), 1), relevant)


def _mean(values: NDArray[np.floating], relevant: Relevant) -> float:
    """The mean over queries with a relevant item; NaN if there are none."""
    answerable = relevant.any(1)
    return float(values[answerable].mean()) if answerable.any() else float("nan")


def table(rows: Mapping[str, Mapping[str, float]], *, first: str) -> str:
    """Markdown with one row per key and one column per figure, "-" for a missing figure; `first` heads the keys."""
    columns: dict[str, None] = {name: None for row in rows.values() for name in row}
    lines = [_line([first, *columns]), _line(["---", *("---:" for _ in columns)])]
    for name, row in rows.items():
        lines.append(_line([name, *(f"{row[column]:.3f}" if column in row else "-" for column in columns)]))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.ablations.report", description=__doc__)
    parser.add_argument("data", type=Path, help="a catalogue: a parquet or JSONL file, or a folder of them")
    parser.add_argument("--model", default="builtin:small")
    parser.add_argument("--all", action="store_true", help="use every product, of a catalogue that was not trained on")
    parser.add_argument("--held-back", type=float, default=0.1, help="the share of the test in training")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the split")
    options = parser.parse_args(arguments)
    products = read(options.data)
    rows = range(len(products)) if options.all else split(products, share=options.held_back, seed=options.seed)[1]
    examples = [products[row] for row in rows if products[row].photo]
    sys.stdout.write(report(load(options.model), examples))


def report(model: Model, examples: Sequence[Example]) -> str:
    """All tables about these products, as Markdown."""
    encoded = vectors(model, examples)
    views = [model.prepare("", another_view(_photo(example))) for example in examples]
    everywhere, by_look = by_phrase(encoded, examples, lambda texts: queries(model, texts))
    sections = {
        "A title as the query": by_title(encoded, [example.title for example in examples]),
        "Colour and kind as the query": everywhere,
        "Colour and kind, among products whose title does not name the colour": by_look,
        "Another view of the photo as the query": by_photo(encoded, examples, _encode(views, model)[FUSED]),
    }
    tables = [
        f"{name} ({len(examples)} products):\n\n{table(rows, first='searched')}" for name, rows in sections.items()
    ]
    return "\n".join(tables)


if __name__ == "__main__":
    main()
