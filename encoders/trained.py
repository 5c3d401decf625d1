"""`builtin:small` and `checkpoint:DIR`: the frozen backbones, and the towers that `liveshelf train` wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from catalog.space import FUSED, IMAGE, TITLE, Space
from encoders.model import Inputs
from encoders.single_stream import Item, Text, read
from encoders.small import Backbones, digest
from encoders.towers import TEXT_LAYERS


class Trained:
    """A SplitModel. A text alone passes the query tower as a query, and the item tower as an item."""

    def __init__(
        self, checkpoint: Path, *, name: str, device: str = "cpu", precision: torch.dtype | None = None
    ) -> None:
        """`checkpoint` is a file that `encoders.single_stream.save` wrote. Raises Misuse."""
        towers = read(checkpoint)
        self.device = torch.device(device)
        self.backbones = Backbones(self.device, precision)
        self.towers = towers.to(self.device).narrow(self.backbones.precision)
        self._frozen_layers = TEXT_LAYERS - towers.shape.text_layers
        self._image_tower = towers.image or self.backbones.image_tower
        shape = towers.shape
        self.photo_side = shape.photo_side
        self.space = Space(
            model=name,
            revision=digest(checkpoint, *self.backbones.files),
            preprocessing=f"rgb-{shape.photo_side}-bicubic-v1",
            vectors={FUSED: shape.dim, IMAGE: shape.dim, TITLE: shape.dim},
        )

    def prepare(self, text: str, photo: Image | None) -> Inputs:
        return self.backbones.prepare(text, photo, side=self.photo_side)

    def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Tensor]:
        item = self._item(batch)
        fused = self.towers.item(item).vector
        image, title = fused.clone(), fused.clone()
        # With one part alone the whole is that part.
        both = [i for i, inputs in enumerate(batch) if inputs.tokens and inputs.pixels is not None]
        if both:
            rows = torch.tensor(both, device=self.device)
            whole = Item(Text(item.title.states[rows], item.title.seen[rows]), item.photos[rows], item.there[rows])
            image[rows] = self.towers.item(whole.without_title()).vector
            title[rows] = self.towers.item(whole.without_photos()).vector
        return {FUSED: fused, IMAGE: image, TITLE: title}

    def forward_photos(self, batch: Sequence[Inputs]) -> Tensor:
        pixels = np.stack([inputs.pixels for inputs in batch if inputs.pixels is not None])
        found: Tensor = self._image_tower.grid(torch.from_numpy(pixels).to(self.device)).float()
        return found

    def forward_queries(self, batch: Sequence[Inputs]) -> Tensor:
        out = torch.zeros(len(batch), self.towers.shape.dim, device=self.device)
        shown = [i for i, inputs in enumerate(batch) if inputs.pixels is not None]
        asked = [i for i, inputs in enumerate(batch) if inputs.pixels is None]
        if shown:
            out[shown] = self.towers.item(self._item([batch[i] for i in shown])).vector
        if asked:
            out[asked] = self.towers.query(self._text([batch[i] for i in asked])).vector
        return out

    def _text(self, batch: Sequence[Inputs]) -> Text:
        return Text(*self.backbones.states([inputs.tokens for inputs in batch], self._frozen_layers))

    def _item(self, batch: Sequence[Inputs]) -> Item:
        there = torch.tensor([inputs.pixels is not None for inputs in batch], device=self.device)
        photos = torch.zeros(len(batch), self.towers.shape.features, device=self.device)
        unseen = [i for i, inputs in enumerate(batch) if inputs.pixels is not None and inputs.features is None]
        for i, inputs in enumerate(batch):
            if inputs.features is not None:
                photos[i] = torch.from_numpy(inputs.features)
        if unseen:
            photos[unseen] = self.forward_photos([batch[i] for i in unseen])
        return Item(self._text(batch), photos[:, None], there[:, None])
