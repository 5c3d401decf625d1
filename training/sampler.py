"""Batches of a corpus, drawn anew for each step from the seed and the step's number: to resume is to name the step."""

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
    """Draws interactions by weight, and makes the views. The processes of a world share one draw."""

    def __init__(
        self, corpus: Corpus, recipe: Recipe, *, views: frozenset[str], backbones: Backbones, standardise: Standardise,
        world: Distributed,
    ) -> None:  # fmt: skip
        """`standardise` is the towers' own, for the features that hidden cells are told by."""
        self._corpus, self._recipe, self._views = corpus, recipe, views
        self._backbones, self._standardise, self._world = backbones, standardise, world
        self._upto = np.cumsum(corpus.train.weight / corpus.train.weight.sum())
        self._words = corpus.words()

    def at(self, step: int, part: int = 0) -> TrainBatch:
        """This process's batch of a step; `part` counts the batches of a step of several."""
        size, seed = self._recipe.optim.batch, self._recipe.seed
        drawn = np.random.default_rng((seed, step, part)).random(size * self._world.size)
        picked = np.searchsorted(self._upto, drawn, side="right").clip(max=len(self._upto) - 1)
        mine = picked[self._world.rank * size :][:size]
        draw = np.random.default_rng((seed, step, part, self._world.rank))
        return self._batch(self._corpus.train.query[mine], self._corpus.train.item[mine], draw)

    def _batch(self, queries: Rows, rows: Rows, draw: np.random.Generator) -> TrainBatch:
        corpus, policy, data = self._corpus, self._recipe.tasks, self._recipe.data
        hide_title, hide_photo = (draw.random(len(rows)) < share for share in (data.hide_title, data.hide_photo))
        # Never both: a product of nothing teaches nothing.
        titled = corpus.has_title[rows] & ~(hide_title & corpus.has_photo[rows])
        shown = corpus.has_photo[rows] & ~(hide_photo & titled)
        cut = shown & (draw.random(len(rows)) < data.cut_title) if data.cut_title else np.zeros_like(shown)
        item = self._item(corpus.shown(rows, titled, cut), rows, corpus.has_photo[rows])
        views: dict[str, View] = {
            "query": corpus.asked(queries),
            "item": replace(item, there=torch.from_numpy(shown)[:, None]),
            "photo": item.without_title(),
        }
        if self._views & {"plain_query", "plain_item"}:
            plain = draw.choice(len(corpus.plain), min(policy.plain, len(corpus.plain)), replace=False)
            text = corpus.plain.text(plain)
            none = torch.zeros(len(plain), 0, *item.photos.shape[2:], dtype=item.photos.dtype)
            views |= {
                "plain_query": text,
                "plain_item": ItemInput(text, none, torch.zeros(len(plain), 0, dtype=torch.bool)),
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
        return self._masked(batch, item, draw) if "masked" in self._views else batch

    def _item(self, title: TextInput, rows: Rows, shown: NDArray[np.bool_]) -> ItemInput:
        photos = torch.from_numpy(self._corpus.photos[rows])
        photos = photos if photos.dtype == torch.uint8 else photos.float()
        return ItemInput(title, photos[:, None], torch.from_numpy(shown)[:, None])

    def _masked(self, batch: TrainBatch, item: ItemInput, draw: np.random.Generator) -> TrainBatch:
        """The batch with the views that have something hidden."""
        policy, some = self._recipe.tasks, min(self._recipe.tasks.masked, len(batch.rows))
        first = item[:some]
        images, cells = first.there.shape[1], self._recipe.towers.cells
        count = max(1, round(policy.mask_cells * cells))
        hidden = torch.from_numpy(draw.random((some, cells)).argsort(1) < count)
        views, hidden_ids = dict(batch.views), {}
        if policy.mlm:
            generator = torch.Generator().manual_seed(int(draw.integers(2**62)))
            titles = [self._corpus.titles.tokens(row) for row in batch.rows[:some].tolist()]
            title, hidden_ids["masked"] = self._hide(titles, generator)
            kept = first.title.seen.any(1)
            hidden_ids["masked"][~kept] = -1
            first = replace(first, title=TextInput(title.states, title.seen & kept[:, None]))
            asked = [self._corpus.tokens_asked(number) for number in batch.queries[:some].tolist()]
            views["masked_query"], hidden_ids["masked_query"] = self._hide(asked, generator)
        views["masked"] = replace(first, hidden=hidden)
        features, _ = self._standardise(self._features(first))
        at = hidden[:, None] & first.there[:, :, None]
        whole = torch.zeros(some, images, 1, dtype=torch.bool)
        return replace(
            batch,
            views={name: view for name, view in views.items() if name in self._views},
            hidden_ids=hidden_ids,
            hidden_cells=torch.cat((at, whole), 2).flatten(1),
            cells=features[at],
            wholes=features[:, 0].mean(1),
            first_cell=first.title.seen.shape[1],
        )

    def _hide(self, tokens: Sequence[Sequence[int]], generator: torch.Generator) -> tuple[TextInput, Tensor]:
        ids, seen = padded(tokens)
        given, hidden = hide(ids, seen, self._recipe.tasks.mask_tokens, words=self._words, generator=generator)
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
            found: Tensor = self._backbones.image_tower.grid(pixels).cpu().view(*item.there.shape, -1)
            return found


def shelf_of(corpus: Corpus, size: int) -> Iterator[tuple[Rows, ItemInput]]:
    """The items that validation searches, some at a time, whole."""
    for start in range(0, len(corpus.shelf), size):
        rows = corpus.shelf[start : start + size]
        photos = torch.from_numpy(corpus.photos[rows])
        photos = photos if photos.dtype == torch.uint8 else photos.float()
        title = corpus.titles.text(rows, corpus.has_title[rows])
        yield rows, ItemInput(title, photos[:, None], torch.from_numpy(corpus.has_photo[rows])[:, None])
