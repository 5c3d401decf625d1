"""`builtin:small` and `checkpoint:DIR`: frozen backbones with the towers that `liveshelf train` wrote."""

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


# A runtime takes 1 to 1.5 ms longer over a tower whenever the length differs from that of the call before. So a single
# text is padded to one of a few lengths, which costs less. In a batch the padding would cost more.
QUERY_LENGTHS, TITLE_LENGTHS = (12, 16, 32, 64), (16, 32, 64)

_KINDS = ((True, True), (True, False), (False, True))


class SingleStreamModel:
    """A SplitModel. A text without a photo passes the query tower as a query, and the item tower as an item."""

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
        """`checkpoint` is a file that `towers.single_stream.save` wrote. Without a `runtime` torch runs the towers.

        `threads` is the number of threads of a forward pass of torch, for the whole process. Raises InvalidInput.
        """
        shape = self.shape = shape_of(checkpoint)
        minilm, tokenizer, lite0 = files()
        self.photo_side = shape.photo_side
        self._tokenizer = load_tokenizer(tokenizer)
        self._loader = TowerLoader(runtime, device, precision, threads=threads)
        tower = self._loader.tower
        self._text_states = tower(text_plan(minilm, TEXT_LAYERS - shape.text_layers))
        own_tower = shape.image_tower
        self._photo_features = tower(grid_plan(checkpoint if own_tower else lite0, shape.photo_side, own=own_tower))
        self._title_tower, self._photo_tower, self._item_views, self._query_tower = (
            tower(part_plan(checkpoint, part, shape)) for part in ("title", "photo", "views", "query")
        )
        self.space = Space(
            model=name,
            revision=digest(checkpoint, minilm, tokenizer, lite0),
            preprocessing=f"rgb-{shape.photo_side}-bicubic-v1",
            vectors={FUSED: shape.dim, IMAGE: shape.dim, TITLE: shape.dim},
        )

    @property
    def runs(self) -> str:
        return self._loader.says

    def prepare(self, text: str, photo: Image | None) -> Inputs:
        return prepared(self._tokenizer, text, photo, side=self.photo_side)

    def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
        fused, image, title = (np.zeros((len(batch), self.shape.dim), np.float32) for _ in range(3))
        kinds = [(bool(inputs.tokens), inputs.pixels is not None) for inputs in batch]
        both, titles, photos = ([i for i, kind in enumerate(kinds) if kind == expected] for expected in _KINDS)
        if both:
            items = [batch[i] for i in both]
            views = self._item_views(*self._text(items), self._features(items))
            fused[both], image[both], title[both] = views.transpose(1, 0, 2)
        # The fused vector of an item that has a title alone, or a photo alone, is the vector of that part.
        if titles:
            fused[titles] = title[titles] = self._title_tower(*self._text([batch[i] for i in titles]))
        if photos:
            fused[photos] = image[photos] = self._photo_tower(self._features([batch[i] for i in photos]))
        return {FUSED: fused, IMAGE: image, TITLE: title}

    def forward_photos(self, batch: Sequence[Inputs]) -> Rows:
        return self._photo_features(np.stack([inputs.pixels for inputs in batch if inputs.pixels is not None]))

    def forward_queries(self, batch: Sequence[Inputs]) -> Rows:
        out = np.zeros((len(batch), self.shape.dim), np.float32)
        with_photo = [i for i, inputs in enumerate(batch) if inputs.pixels is not None]
        texts = [i for i, inputs in enumerate(batch) if inputs.pixels is None]
        if with_photo:
            out[with_photo] = self.forward_items([batch[i] for i in with_photo])[FUSED]
        if texts:
            out[texts] = self._query_tower(*self._text([batch[i] for i in texts], QUERY_LENGTHS))
        return out

    def _text(self, batch: Sequence[Inputs], lengths: Sequence[int] = TITLE_LENGTHS) -> tuple[Rows, NDArray[np.bool_]]:
        """Token states and mask. `lengths` are those to which a single text is padded."""
        ids, mask = padded([inputs.tokens for inputs in batch], lengths=lengths if len(batch) == 1 else ())
        return self._text_states(ids, mask), mask

    def _features(self, batch: Sequence[Inputs]) -> Rows:
        """The image tower's features, (batch, features). The tower runs for inputs that do not carry them."""
        out = np.empty((len(batch), self.shape.features), np.float32)
        for i, inputs in enumerate(batch):
            if inputs.features is not None:
                out[i] = inputs.features
        missing = [i for i, inputs in enumerate(batch) if inputs.features is None]
        if missing:
            out[missing] = self.forward_photos([batch[i] for i in missing])
        return out
