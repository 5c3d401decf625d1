"""Trains the fusion of `builtin:small`: `python -m training.late.fusion DATA... --out DIR`. Minutes on two cores."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders.families import LATE
from encoders.fusion import Fusion, Shape, save
from encoders.small import Backbones, digest
from training.corpus import plain_texts
from training.data import Example, read
from training.late.features import Features, image_features, text_features
from training.late.losses import contrastive, same_similarities
from training.late.recipe import SMOKE, Recipe
from training.late.texts import Pool, pool
from training.splits import split

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Material:
    """All a run reads: features of photos and of the pool's texts, whether there is a photo, texts of no product.

    `weight` is how often a product is drawn, relative to the others.
    """

    pool: Pool
    photos: Features
    texts: Features
    has_photo: NDArray[np.bool_]
    plain: Features
    weight: NDArray[np.float64]


def material(catalogues: Sequence[Sequence[Example]], recipe: Recipe, backbones: Backbones, cache: Path) -> Material:
    """Run the frozen backbones over everything once. The products are those of all catalogues, one after another."""
    examples = [example for catalogue in catalogues for example in catalogue]
    asked = pool(examples, recipe)
    mark = f"{digest(*backbones.files)} {backbones.precision}"

    def encode(texts: Sequence[str]) -> Tensor:
        return backbones.texts([backbones.prepare(text, None, side=0) for text in texts])

    photos = [example.photo for example in examples]
    plain = plain_texts(backbones, recipe.plain_texts, recipe.seed)
    return Material(
        pool=asked,
        photos=image_features(photos, size=recipe.photo_side, tower=backbones.image_tower, cache=cache, mark=mark),
        texts=text_features(asked.texts, encode=encode, cache=cache, mark=mark),
        has_photo=np.array([bool(photo) for photo in photos]),
        plain=text_features(plain, encode=encode, cache=cache, mark=mark),
        # A catalogue ten times as large is drawn from three times as often: the small one is not drowned.
        weight=np.concatenate([np.full(len(catalogue), len(catalogue) ** -0.5) for catalogue in catalogues]),
    )


def train(found: Material, rows: NDArray[np.int64], recipe: Recipe) -> Fusion:
    """The heads, trained on these rows. The same rows, recipe and machine give the same heads."""
    torch.manual_seed(recipe.seed)
    draw = np.random.default_rng(recipe.seed)
    fusion = _fresh(found, rows, recipe)
    sharpness = nn.Parameter(torch.tensor(1 / recipe.temperature).log())
    optimizer = torch.optim.AdamW([*fusion.parameters(), sharpness], lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=recipe.steps, pct_start=0.1)
    fusion.train()
    chance = found.weight[rows] / found.weight[rows].sum()
    for step in range(recipe.steps):
        batch = draw.choice(rows, min(recipe.batch, len(rows)), replace=False, p=chance)
        losses = _losses(fusion, found, batch, recipe=recipe, draw=draw, temperature=1 / sharpness.exp().clamp(max=100))
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == recipe.steps - 1:
            log.info("step %d: %s", step, ", ".join(f"{name} {loss.item():.4f}" for name, loss in losses.items()))
    return fusion.eval().requires_grad_(False)


def _losses(
    fusion: Fusion, found: Material, batch: NDArray[np.int64], *, recipe: Recipe, draw: np.random.Generator,
    temperature: Tensor,
) -> dict[str, Tensor]:  # fmt: skip
    asked, shown = _ask(found.pool, batch, recipe, draw), _show(found.pool, batch, recipe, draw)
    has_photo = found.has_photo[batch] & ((draw.random(len(batch)) >= recipe.hide_photo) | (shown < 0))
    shown = np.where((shown < 0) & ~has_photo, found.pool.title[batch], shown)
    asking = fusion.text(_rows(found.texts, asked))
    image = fusion.image(_rows(found.photos, batch))
    title = fusion.text(_rows(found.texts, np.maximum(shown, 0)))
    has_text, has_image = torch.from_numpy(shown >= 0), torch.from_numpy(has_photo)
    item = fusion.fuse(title, image, has_text=has_text, has_image=has_image)
    right = torch.from_numpy(_answers(found.pool, asked, batch))
    own = torch.eye(len(batch), dtype=torch.bool)
    losses = {"fused": contrastive(asking, item, right | own, temperature)}
    there = torch.from_numpy(found.has_photo[batch])
    if there.any():
        losses["image"] = recipe.image_weight * contrastive(asking, image[there], (right | own)[:, there], temperature)
        losses["alike"] = recipe.alike_weight * contrastive(image[there], item, own[there], temperature)
    plain = _rows(found.plain, draw.choice(len(found.plain), min(recipe.batch, len(found.plain)), replace=False))
    losses["meaning"] = recipe.keep_meaning * same_similarities(plain, fusion.text(plain))
    return losses


def _ask(texts: Pool, batch: NDArray[np.int64], recipe: Recipe, draw: np.random.Generator) -> NDArray[np.int64]:
    """For each product the number of a text it is asked for by: its title, a fragment of it or a phrase."""
    chance = draw.random(len(batch))
    asked = texts.title[batch].copy()
    for i, row in enumerate(batch):
        if chance[i] >= recipe.ask_title:
            some = texts.fragments[row] if chance[i] < recipe.ask_title + recipe.ask_fragment else texts.phrases[row]
            if some:
                asked[i] = some[draw.integers(len(some))]
    return asked


def _show(texts: Pool, batch: NDArray[np.int64], recipe: Recipe, draw: np.random.Generator) -> NDArray[np.int64]:
    """For each product the number of the text it is shown with: its title, a fragment, or -1 for its photo alone."""
    chance = draw.random(len(batch))
    shown = np.where(chance < recipe.show_title + recipe.show_fragment, texts.title[batch], -1)
    for i, row in enumerate(batch):
        if recipe.show_title <= chance[i] < recipe.show_title + recipe.show_fragment and texts.fragments[row]:
            shown[i] = texts.fragments[row][draw.integers(len(texts.fragments[row]))]
    return shown


def _answers(texts: Pool, asked: NDArray[np.int64], batch: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Bool (queries, items): the item has every term that the query asks for."""
    asks = torch.from_numpy(texts.asks[asked]).float()
    has = torch.from_numpy(texts.answers[batch]).float()
    met: NDArray[np.bool_] = (asks @ has.T >= asks.sum(1, keepdim=True)).numpy()
    return met


def _fresh(found: Material, rows: NDArray[np.int64], recipe: Recipe) -> Fusion:
    """Heads that start as the main directions of the texts, and photos standardised, with no bend in them yet."""
    texts, photos = found.texts.shape[1], found.photos.shape[1]
    fusion = Fusion(Shape(texts, photos, recipe.dim, recipe.hidden, recipe.photo_side))
    sample = torch.from_numpy(
        np.concatenate([found.texts[:: max(1, len(found.texts) // 8192)], found.plain[::2]])
    ).float()
    _, _, directions = torch.linalg.svd(nn.functional.normalize(sample, dim=1), full_matrices=False)
    seen = torch.from_numpy(found.photos[rows[found.has_photo[rows]]]).float()
    with torch.no_grad():
        fusion.text_line.weight.zero_()
        fusion.text_line.weight[: len(directions)] = directions[: recipe.dim]
        if len(seen):
            fusion.image_mean.copy_(seen.mean(0))
            fusion.image_scale.copy_(1 / seen.std(0, correction=0).clamp(min=1e-3))
        nn.init.normal_(fusion.image_line.weight, std=photos**-0.5)
    return fusion


def _train_rows(catalogues: Sequence[Sequence[Example]], recipe: Recipe) -> NDArray[np.int64]:
    """The rows to train on. Each catalogue is split by itself, so that what it holds back depends on no other."""
    first, rows = 0, []
    for catalogue in catalogues:
        kept, held = split(catalogue, share=recipe.held_back, seed=recipe.seed)
        log.info("%d products to train on, %d held back", len(kept), len(held))
        rows.append(kept + first)
        first += len(catalogue)
    return np.concatenate(rows)


def _rows(features: Features, rows: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(features[rows].astype(np.float32))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.late.fusion", description=__doc__)
    parser.add_argument("data", nargs="+", type=Path, help="catalogues: parquet or JSONL files, or folders of them")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write the checkpoint into")
    parser.add_argument("--cache", type=Path, required=True, help="a folder to keep the backbones' features in")
    parser.add_argument("--photo-side", type=int, help="side of the photos in pixels")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--smoke", action="store_true", help="shrink every number, to see that it runs")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    changed = {k: v for k in ("photo_side", "steps", "seed") if (v := getattr(options, k)) is not None}
    recipe = replace(SMOKE if options.smoke else Recipe(), **changed)
    catalogues = [read(source) for source in options.data]
    rows = _train_rows(catalogues, recipe)
    found = material(catalogues, recipe, Backbones(torch.device("cpu")), options.cache)
    fusion = train(found, rows, recipe)
    options.out.mkdir(parents=True, exist_ok=True)
    save(fusion, options.out / LATE)
    log.info("written: %s", options.out / LATE)


if __name__ == "__main__":
    main()
