"""Batches of a corpus, drawn from the seed and the step's number alone, so that a training can resume at any step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders.models.late_fusion import Backbones, padded
from encoders.towers.backbones import CELL_DIM, TEXT_LAYERS
from encoders.towers.single_stream import ItemInput, TextInput
from training.data.batch import TrainBatch, View
from training.data.corpus import Corpus
from training.distributed import Distributed
from training.recipe import Recipe
from training.tasks.mlm import hide

Standardise = Callable[[Tensor], tuple[Tensor, Tensor]]
Rows = NDArray[np.int64]


class BatchSampler:
    """Draws interactions by weight and builds their views. All processes share one draw, of which each takes a part."""

    def __init__(
        self, corpus: Corpus, recipe: Recipe, *, views: frozenset[str], backbones: Backbones, standardise: Standardise,
        distributed: Distributed,
    ) -> None:  # fmt: skip
        """`standardise` is the towers' own, for the features of hidden cells."""
        self._corpus, self._recipe, self._views = corpus, recipe, views
        self._backbones, self._standardise, self._distributed = backbones, standardise, distributed
        self._cumulative = np.cumsum(corpus.train.weight / corpus.train.weight.sum())
        self._vocabulary = corpus.vocabulary()

    def at(self, step: int, micro_batch: int = 0) -> TrainBatch:
        """This process's batch of a step, or one of several if the step accumulates."""
        size, seed = self._recipe.optim.batch, self._recipe.seed
        chance = np.random.default_rng((seed, step, micro_batch)).random(size * self._distributed.size)
        interactions = np.searchsorted(self._cumulative, chance, side="right").clip(max=len(self._cumulative) - 1)
        local = interactions[self._distributed.rank * size :][:size]
        rng = np.random.default_rng((seed, step, micro_batch, self._distributed.rank))
        return self._batch(self._corpus.train.query[local], self._corpus.train.item[local], rng)

    def _batch(self, queries: Rows, rows: Rows, rng: np.random.Generator) -> TrainBatch:
        corpus, policy, data = self._corpus, self._recipe.tasks, self._recipe.data
        hide_title, hide_photo = (rng.random(len(rows)) < share for share in (data.hide_title, data.hide_photo))
        # Never hide both: an empty product teaches nothing.
        with_title = corpus.has_title[rows] & ~(hide_title & corpus.has_photo[rows])
        with_photo = corpus.has_photo[rows] & ~(hide_photo & with_title)
        cut = with_photo & (rng.random(len(rows)) < data.cut_title) if data.cut_title else np.zeros_like(with_photo)
        item = self._item(corpus.title_texts(rows, with_title, cut), rows, corpus.has_photo[rows])
        views: dict[str, View] = {
            "query": corpus.query_texts(queries),
            "item": replace(item, there=torch.from_numpy(with_photo)[:, None]),
            "photo": item.without_title(),
        }
        if self._views & {"plain_query", "plain_item"}:
            plain = rng.choice(len(corpus.plain), min(policy.plain, len(corpus.plain)), replace=False)
            text = corpus.plain.text(plain)
            no_photos = torch.zeros(len(plain), 0, *item.photos.shape[2:], dtype=item.photos.dtype)
            views |= {
                "plain_query": text,
                "plain_item": ItemInput(text, no_photos, torch.zeros(len(plain), 0, dtype=torch.bool)),
            }
        vectors = corpus.plain_vectors[plain] if "plain_query" in views else corpus.plain_vectors[:0]
        batch = TrainBatch(
            views={name: view for name, view in views.items() if name in self._views},
            queries=torch.from_numpy(queries),
            rows=torch.from_numpy(rows),
            hidden_ids={},
            hidden_cells=torch.zeros(0, 0, dtype=torch.bool),
            cells=torch.zeros(0, CELL_DIM),
            wholes=torch.zeros(0, CELL_DIM),
            first_cell=0,
            plain=torch.from_numpy(vectors),
        )
        return self._masked(batch, item, rng) if "masked" in self._views else batch

    def _item(self, title: TextInput, rows: Rows, has_photo: NDArray[np.bool_]) -> ItemInput:
        photos = torch.from_numpy(self._corpus.photos[rows])
        photos = photos if photos.dtype == torch.uint8 else photos.float()
        return ItemInput(title, photos[:, None], torch.from_numpy(has_photo)[:, None])

    def _masked(self, batch: TrainBatch, item: ItemInput, rng: np.random.Generator) -> TrainBatch:
        """The batch with its masked views."""
        policy, count = self._recipe.tasks, min(self._recipe.tasks.masked, len(batch.rows))
        masked = item[:count]
        images, cells = masked.there.shape[1], self._recipe.towers.cells
        hidden_count = max(1, round(policy.mask_cells * cells))
        hidden = torch.from_numpy(rng.random((count, cells)).argsort(1) < hidden_count)
        views, hidden_ids = dict(batch.views), {}
        if policy.mlm:
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
            titles = [self._corpus.titles.tokens(row) for row in batch.rows[:count].tolist()]
            title, hidden_ids["masked"] = self._hide(titles, generator)
            has_title = masked.title.seen.any(1)
            hidden_ids["masked"][~has_title] = -1
            masked = replace(masked, title=TextInput(title.states, title.seen & has_title[:, None]))
            queries = [self._corpus.query_tokens(number) for number in batch.queries[:count].tolist()]
            views["masked_query"], hidden_ids["masked_query"] = self._hide(queries, generator)
        views["masked"] = replace(masked, hidden=hidden)
        features, _ = self._standardise(self._features(masked))
        hidden_cells = hidden[:, None] & masked.there[:, :, None]
        # The last place of each photo is the whole photo, which is never hidden.
        whole = torch.zeros(count, images, 1, dtype=torch.bool)
        return replace(
            batch,
            views={name: view for name, view in views.items() if name in self._views},
            hidden_ids=hidden_ids,
            hidden_cells=torch.cat((hidden_cells, whole), 2).flatten(1),
            cells=features[hidden_cells],
            wholes=features[:, 0].mean(1),
            first_cell=masked.title.seen.shape[1],
        )

    def _hide(self, tokens: Sequence[Sequence[int]], generator: torch.Generator) -> tuple[TextInput, Tensor]:
        ids, seen = padded(tokens)
        given, hidden = hide(ids, seen, self._recipe.tasks.mask_tokens, words=self._vocabulary, generator=generator)
        layers = TEXT_LAYERS - self._recipe.towers.text_layers
        with torch.no_grad():
            tower, device = self._backbones.text_tower, self._backbones.device
            states = tower.states(given.to(device), seen.to(device), layers).float().cpu()
        return TextInput(states, seen), hidden

    def _features(self, item: ItemInput) -> Tensor:
        if item.photos.dtype != torch.uint8:
            return item.photos
        with torch.no_grad():
            pixels = item.photos.flatten(0, 1).to(self._backbones.device)
            features: Tensor = self._backbones.image_tower.grid(pixels).cpu().view(*item.there.shape, -1)
            return features


def validation_batches(corpus: Corpus, size: int) -> Iterator[tuple[Rows, ItemInput]]:
    """The items that validation searches, complete, in batches of `size`."""
    for start in range(0, len(corpus.validation_items), size):
        rows = corpus.validation_items[start : start + size]
        photos = torch.from_numpy(corpus.photos[rows])
        photos = photos if photos.dtype == torch.uint8 else photos.float()
        title = corpus.titles.text(rows, corpus.has_title[rows])
        yield rows, ItemInput(title, photos[:, None], torch.from_numpy(corpus.has_photo[rows])[:, None])
