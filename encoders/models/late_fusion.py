"""Late fusion, as `liveshelf train late` writes it, of the frozen backbones MiniLM and EfficientNet-Lite0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from catalog.domain.space import FUSED, IMAGE, Space
from encoders.model import Inputs, Rows
from encoders.runtime import RuntimePolicy
from encoders.runtime.digest import digest as digest
from encoders.runtime.plans import pooled_plan, text_plan
from encoders.runtime.policy import Precision
from encoders.runtime.prepare import TowerLoader, fastest_precision
from encoders.runtime.tower import Tower
from encoders.towers import backbone_files as backbones
from encoders.towers.backbones import ImageTower, TextTower, image_tower, text_tower
from encoders.towers.dims import TEXT_DIM, TEXT_LAYERS
from encoders.towers.late_fusion import read
from encoders.towers.preprocessing import load_tokenizer

PAD = 16


class LateFusionModel:
    """Two frozen towers and the fusion. All vectors are of one space, so any query may search any named vector."""

    def __init__(
        self,
        fusion: Path,
        *,
        name: str,
        device: str = "cpu",
        precision: Precision | None = None,
        runtime: RuntimePolicy | None = None,
    ) -> None:
        """`fusion` is a file that `towers.late_fusion.save` wrote. Without a `runtime` torch runs the backbones.

        Without a `precision` they run in the fastest one.
        """
        self.device = torch.device(device)
        self.fusion = read(fusion).to(self.device)
        shape = self.fusion.shape
        minilm, tokenizer, lite0 = backbones.files()
        self.photo_side = shape.photo_side
        self._tokenizer = load_tokenizer(tokenizer)
        self._loader = TowerLoader(runtime, device, precision)
        self._photo_features = self._loader.tower(pooled_plan(lite0, shape.photo_side))
        self._text_states = self._loader.tower(text_plan(minilm, TEXT_LAYERS))
        self.space = Space(
            model=name,
            revision=digest(fusion, minilm, tokenizer, lite0),
            preprocessing=f"rgb-{shape.photo_side}-bicubic-v1",
            vectors={FUSED: shape.dim, IMAGE: shape.dim},
        )

    @property
    def runs(self) -> str:
        return self._loader.says

    def prepare(self, text: str, photo: Image | None) -> Inputs:
        return backbones.prepared(self._tokenizer, text, photo, side=self.photo_side)

    def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
        text = self.fusion.text(torch.from_numpy(texts(batch, self._text_states)).to(self.device))
        image = self.fusion.image(self._features(batch))
        has_text = torch.tensor([bool(inputs.tokens) for inputs in batch], device=self.device)
        has_image = torch.tensor([inputs.pixels is not None for inputs in batch], device=self.device)
        fused = self.fusion.fuse(text, image, has_text=has_text, has_image=has_image)
        return {FUSED: fused.cpu().numpy(), IMAGE: image.cpu().numpy()}

    def forward_photos(self, batch: Sequence[Inputs]) -> Rows:
        return self._photo_features(np.stack([inputs.pixels for inputs in batch if inputs.pixels is not None]))

    def forward_queries(self, batch: Sequence[Inputs]) -> Rows:
        return self.forward_items(batch)[FUSED]

    def _features(self, batch: Sequence[Inputs]) -> Tensor:
        """The image tower's features, (batch, features); zeros without a photo. Inputs may carry theirs."""
        out = np.zeros((len(batch), self.fusion.shape.image), np.float32)
        for i, inputs in enumerate(batch):
            if inputs.features is not None:
                out[i] = inputs.features
        missing = [i for i, inputs in enumerate(batch) if inputs.pixels is not None and inputs.features is None]
        if missing:
            out[missing] = self.forward_photos([batch[i] for i in missing])
        return torch.from_numpy(out).to(self.device)


def texts(batch: Sequence[Inputs], text_states: Tower) -> Rows:
    """Features of texts, (batch, TEXT_DIM); zeros without a text. Texts of similar length run together."""
    out = np.zeros((len(batch), TEXT_DIM), np.float32)
    with_text = sorted((i for i, inputs in enumerate(batch) if inputs.tokens), key=lambda i: len(batch[i].tokens))
    for _, group in groupby(with_text, lambda i: len(batch[i].tokens) // PAD):
        rows = list(group)
        ids, mask = backbones.padded([batch[i].tokens for i in rows])
        out[rows] = (text_states(ids, mask) * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return out


class Backbones:
    """The frozen towers in torch, for training."""

    def __init__(self, device: torch.device, precision: torch.dtype | None = None) -> None:
        self.device = device
        self.files = backbones.files()
        self.tokenizer = load_tokenizer(self.files[1])
        self.precision = precision or getattr(torch, fastest_precision(device.type))

    @cached_property
    def text_tower(self) -> TextTower:
        return text_tower(self.files[0]).to(self.device, self.precision)

    @cached_property
    def image_tower(self) -> ImageTower:
        return image_tower(self.files[2]).to(self.device, self.precision)

    def prepare(self, text: str, photo: Image | None, *, side: int) -> Inputs:
        return backbones.prepared(self.tokenizer, text, photo, side=side)

    def states(self, tokens: Sequence[Sequence[int]], layers: int = TEXT_LAYERS) -> tuple[Tensor, Tensor]:
        """The token states after the first `layers` layers, (texts, longest, 384), and the bool mask of tokens."""
        ids, mask = (tensor.to(self.device) for tensor in padded(tokens))
        out = self.text_tower.states(ids, mask | ~mask.any(1, keepdim=True), layers)
        return out, mask


def padded(tokens: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """`backbone_files.padded` as tensors."""
    ids, mask = backbones.padded(tokens)
    return torch.from_numpy(ids), torch.from_numpy(mask)
