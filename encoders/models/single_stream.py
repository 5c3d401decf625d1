"""`builtin:small` and `checkpoint:DIR`: the frozen backbones, and the towers that `liveshelf train` wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from catalog.domain.space import FUSED, IMAGE, TITLE, Space
from encoders.model import Inputs
from encoders.runtime import RuntimePolicy
from encoders.runtime.digest import digest
from encoders.runtime.plans import grid_plan, part_plan, text_plan
from encoders.runtime.policy import Precision
from encoders.runtime.prepare import TowerLoader
from encoders.towers.backbone_files import files, padded, prepared
from encoders.towers.dims import TEXT_LAYERS, shape_of
from encoders.towers.preprocessing import load_tokenizer

Rows = NDArray[np.float32]


# A runtime takes 1 to 1.5 ms longer over a tower whenever a length is not that of the call before. So a text alone is
# padded, which costs less, to a length that most have. In a batch the padding would cost more.
ASKED_ALONE, TITLE_ALONE = (12, 16, 32, 64), (16, 32, 64)

_KINDS = ((True, True), (True, False), (False, True))


class SingleStreamModel:
    """A SplitModel. A text alone passes the query tower as a query, and the item tower as an item."""

    def __init__(
        self,
        checkpoint: Path,
        *,
        name: str,
        device: str = "cpu",
        precision: Precision | None = None,
        runtime: RuntimePolicy | None = None,
        threads: int | None = None,
    ) -> None:
        """`checkpoint` is a file that `encoders.single_stream.save` wrote. Without a `runtime` torch runs everything.

        `threads` are those of a forward of torch, for the whole process. Raises Misuse.
        """
        shape = self.shape = shape_of(checkpoint)
        words, tokenizer, lite0 = files()
        self.photo_side = shape.photo_side
        self._tokenizer = load_tokenizer(tokenizer)
        self.workshop = TowerLoader(runtime, device, precision, threads=threads)
        tower = self.workshop.tower
        self._read = tower(text_plan(words, TEXT_LAYERS - shape.text_layers))
        own = shape.image_tower
        self._see = tower(grid_plan(checkpoint if own else lite0, shape.photo_side, own=own))
        self._title, self._photo, self._views, self._query = (
            tower(part_plan(checkpoint, name, shape)) for name in ("title", "photo", "views", "query")
        )
        self.space = Space(
            model=name,
            revision=digest(checkpoint, words, tokenizer, lite0),
            preprocessing=f"rgb-{shape.photo_side}-bicubic-v1",
            vectors={FUSED: shape.dim, IMAGE: shape.dim, TITLE: shape.dim},
        )

    @property
    def runs(self) -> str:
        return self.workshop.says

    def prepare(self, text: str, photo: Image | None) -> Inputs:
        return prepared(self._tokenizer, text, photo, side=self.photo_side)

    def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
        fused, image, title = (np.zeros((len(batch), self.shape.dim), np.float32) for _ in range(3))
        kinds = [(bool(inputs.tokens), inputs.pixels is not None) for inputs in batch]
        both, words, shown = ([i for i, one in enumerate(kinds) if one == kind] for kind in _KINDS)
        if both:
            some = [batch[i] for i in both]
            views = self._views(*self._text(some), self._photos(some))
            fused[both], image[both], title[both] = views.transpose(1, 0, 2)
        # With one part alone the whole is that part.
        if words:
            fused[words] = title[words] = self._title(*self._text([batch[i] for i in words]))
        if shown:
            fused[shown] = image[shown] = self._photo(self._photos([batch[i] for i in shown]))
        return {FUSED: fused, IMAGE: image, TITLE: title}

    def forward_photos(self, batch: Sequence[Inputs]) -> Rows:
        return self._see(np.stack([inputs.pixels for inputs in batch if inputs.pixels is not None]))

    def forward_queries(self, batch: Sequence[Inputs]) -> Rows:
        out = np.zeros((len(batch), self.shape.dim), np.float32)
        shown = [i for i, inputs in enumerate(batch) if inputs.pixels is not None]
        asked = [i for i, inputs in enumerate(batch) if inputs.pixels is None]
        if shown:
            out[shown] = self.forward_items([batch[i] for i in shown])[FUSED]
        if asked:
            out[asked] = self._query(*self._text([batch[i] for i in asked], ASKED_ALONE))
        return out

    def _text(self, batch: Sequence[Inputs], alone: Sequence[int] = TITLE_ALONE) -> tuple[Rows, NDArray[np.bool_]]:
        ids, seen = padded([inputs.tokens for inputs in batch], lengths=alone if len(batch) == 1 else ())
        return self._read(ids, seen), seen

    def _photos(self, batch: Sequence[Inputs]) -> Rows:
        """What the image tower says of photos that may bring it along, (batch, features)."""
        out = np.empty((len(batch), self.shape.features), np.float32)
        for i, inputs in enumerate(batch):
            if inputs.features is not None:
                out[i] = inputs.features
        unseen = [i for i, inputs in enumerate(batch) if inputs.features is None]
        if unseen:
            out[unseen] = self.forward_photos([batch[i] for i in unseen])
        return out
