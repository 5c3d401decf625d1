"""`builtin:small` and `checkpoint:DIR`: the frozen backbones, and the towers that `liveshelf train` wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor, nn

from catalog.space import FUSED, IMAGE, TITLE, Space
from encoders.model import Inputs
from encoders.plans import grid_plan, part_plan
from encoders.runtime import RuntimePolicy
from encoders.runtime.tower import Tower
from encoders.single_stream import SingleStream, read
from encoders.small import Backbones, digest, padded
from encoders.stream_parts import Both, Photo, Query, Title
from encoders.towers import TEXT_DIM, TEXT_LAYERS, ImageTower


class Trained:
    """A SplitModel. A text alone passes the query tower as a query, and the item tower as an item."""

    def __init__(
        self,
        checkpoint: Path,
        *,
        name: str,
        device: str = "cpu",
        precision: torch.dtype | None = None,
        runtime: RuntimePolicy | None = None,
    ) -> None:
        """`checkpoint` is a file that `encoders.single_stream.save` wrote. Without a `runtime` torch runs everything.

        Raises Misuse.
        """
        towers = read(checkpoint)
        self.device = torch.device(device)
        self.backbones = Backbones(self.device, precision, runtime)
        self.towers = towers.to(self.device).narrow(self.backbones.precision)
        shape = towers.shape
        self.photo_side = shape.photo_side
        self._read = self.backbones.reader(TEXT_LAYERS - shape.text_layers)
        self._see = self._grids(checkpoint)
        self._title, self._photo, self._both, self._query = (
            self._part(part, checkpoint) for part in (Title, Photo, Both, Query)
        )
        self.space = Space(
            model=name,
            revision=digest(checkpoint, *self.backbones.files),
            preprocessing=f"rgb-{shape.photo_side}-bicubic-v1",
            vectors={FUSED: shape.dim, IMAGE: shape.dim, TITLE: shape.dim},
        )

    @property
    def runs(self) -> str:
        return self.backbones.workshop.says

    def prepare(self, text: str, photo: Image | None) -> Inputs:
        return self.backbones.prepare(text, photo, side=self.photo_side)

    def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Tensor]:
        titled = [i for i, inputs in enumerate(batch) if inputs.tokens]
        shown = [i for i, inputs in enumerate(batch) if inputs.pixels is not None]
        title, image = self._empty(batch), self._empty(batch)
        states, seen = self._text([batch[i] for i in titled])
        photos = self._photos([batch[i] for i in shown])
        if titled:
            title[titled] = self._title(states, seen)
        if shown:
            image[shown] = self._photo(photos)
        # With one part alone the whole is that part.
        fused = title + image
        both = [i for i in titled if batch[i].pixels is not None]
        if both:
            texts, pictures = [titled.index(i) for i in both], [shown.index(i) for i in both]
            fused[both] = self._both(states[texts], seen[texts], photos[pictures])
        return {FUSED: fused, IMAGE: image, TITLE: title}

    def forward_photos(self, batch: Sequence[Inputs]) -> Tensor:
        pixels = np.stack([inputs.pixels for inputs in batch if inputs.pixels is not None])
        return self._see(torch.from_numpy(pixels).to(self.device))

    def forward_queries(self, batch: Sequence[Inputs]) -> Tensor:
        out = self._empty(batch)
        shown = [i for i, inputs in enumerate(batch) if inputs.pixels is not None]
        asked = [i for i, inputs in enumerate(batch) if inputs.pixels is None]
        if shown:
            out[shown] = self.forward_items([batch[i] for i in shown])[FUSED]
        if asked:
            out[asked] = self._query(*self._text([batch[i] for i in asked]))
        return out

    def _empty(self, batch: Sequence[Inputs]) -> Tensor:
        return torch.zeros(len(batch), self.towers.shape.dim, device=self.device)

    def _part(self, part: type[nn.Module], checkpoint: Path) -> Tower:
        return self.backbones.workshop.tower(part_plan(checkpoint, part, self.towers.shape), part(self.towers))

    def _grids(self, checkpoint: Path) -> Tower:
        side, own = self.photo_side, self.towers.image
        if own is None:
            return self.backbones.grids(side)
        plan = grid_plan(checkpoint, side, tower=lambda: _image_of(read(checkpoint)))
        return self.backbones.workshop.tower(plan, lambda photos: own.grid(photos).float())

    def _text(self, batch: Sequence[Inputs]) -> tuple[Tensor, Tensor]:
        ids, seen = (part.to(self.device) for part in padded([inputs.tokens for inputs in batch]))
        return (self._read(ids, seen) if len(batch) else torch.empty(0, 0, TEXT_DIM)), seen

    def _photos(self, batch: Sequence[Inputs]) -> Tensor:
        """What the image tower says of photos that may bring it along, (batch, features)."""
        out = torch.empty(len(batch), self.towers.shape.features, device=self.device)
        for i, inputs in enumerate(batch):
            if inputs.features is not None:
                out[i] = torch.from_numpy(inputs.features)
        unseen = [i for i, inputs in enumerate(batch) if inputs.features is None]
        if unseen:
            out[unseen] = self.forward_photos([batch[i] for i in unseen])
        return out


def _image_of(towers: SingleStream) -> ImageTower:
    if towers.image is None:
        raise ValueError("these towers see photos through the frozen backbone")
    return towers.image
