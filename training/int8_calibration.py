"""Activation ranges of the frozen backbones on real products: `python -m training.int8_calibration`.

The ranges are computed once and shipped. With ranges of a shop's own products, processes would compute different
vectors.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from catalog.errors import InvalidInput
from encoders.images import ImagePolicy, decode
from encoders.model import Inputs
from encoders.models.late_fusion import Backbones
from encoders.runtime.int8 import RANGES
from encoders.runtime.int8_layers import kind_of
from encoders.towers.backbones import ImageTower, TextTower
from training.data.products import read
from training.data.splits import TRAIN, SplitPolicy, parts_of

PHOTO_SIDE = 128
_BATCH = 16
# The time of early, wide and shallow layers is spent on memory, not arithmetic. The others lose most by rounding.
_NOT_ROUNDED = (
    "stages.0.", "stages.1.", "stages.2.0.",
    "stages.3.0.project", "stages.5.0.project", "stages.5.3.project", "stages.6.0.project",
)  # fmt: skip


def layers_of(tower: TextTower | ImageTower) -> dict[str, nn.Module]:
    """The layers that may be rounded, by name: linear layers, and pointwise convolutions with exceptions."""
    if isinstance(tower, TextTower):
        return {name: layer for name, layer in tower.named_modules() if isinstance(layer, nn.Linear)}
    return {
        name: layer
        for name, layer in tower.named_modules()
        if getattr(layer, "kernel", 0) == 1 and not name.startswith(_NOT_ROUNDED)
    }


class ActivationRanges:
    """Records the minimum and maximum of each input channel of a tower's layers."""

    def __init__(self, tower: TextTower | ImageTower) -> None:
        self.tower = tower
        self.ranges: dict[str, Tensor] = {}
        for name, layer in layers_of(tower).items():
            layer.register_forward_pre_hook(lambda _, inputs, name=name: self._record(name, inputs[0]))

    def _record(self, name: str, x: Tensor) -> None:
        # The channel is the second dimension of a photo, and the last of a token.
        rows = x.transpose(0, 1).flatten(1) if x.ndim == 4 else x.flatten(0, -2).T
        new = torch.stack((rows.amin(1), rows.amax(1)))
        old = self.ranges.get(name, new)
        self.ranges[name] = torch.stack((torch.minimum(old[0], new[0]), torch.maximum(old[1], new[1])))


def ranges(batch: Sequence[Inputs], backbones: Backbones) -> dict[str, Tensor]:
    """Minima and maxima by layer, float16 (2, channels). The keys are TOWER.LAYER."""
    text, image = ActivationRanges(backbones.text_tower), ActivationRanges(backbones.image_tower)
    with torch.inference_mode():
        for inputs in batch:
            if inputs.tokens:
                backbones.states([inputs.tokens])
        photos = [inputs.pixels for inputs in batch if inputs.pixels is not None]
        for start in range(0, len(photos), _BATCH):
            backbones.image_tower(torch.from_numpy(np.stack(photos[start : start + _BATCH])))
    by_tower = {kind_of(recorded.tower): recorded.ranges for recorded in (text, image)}
    return {f"{kind}.{name}": both.half() for kind, layers in by_tower.items() for name, both in layers.items()}


def products(catalogue: Path, backbones: Backbones, *, count: int, seed: int) -> Iterator[Inputs]:
    """Random training products. Raises InvalidInput."""
    examples = read(catalogue)
    train_rows = np.flatnonzero(parts_of(examples, SplitPolicy(seed=seed)) == TRAIN)
    for row in np.random.default_rng(seed).permutation(train_rows)[:count].tolist():
        data = examples[row].photo
        photo = decode(data, ImagePolicy(), target=PHOTO_SIDE) if data else None
        yield backbones.prepare(examples[row].title, photo, side=PHOTO_SIDE)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.int8_calibration", description=__doc__)
    parser.add_argument("catalogues", type=Path, nargs="+", help="parquet or JSONL files, or folders of them")
    parser.add_argument("--out", type=Path, default=RANGES, help="the file to write")
    parser.add_argument("--count", type=int, default=200, help="products of each catalogue")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the split and of the sample")
    options = parser.parse_args(arguments)
    backbones = Backbones(torch.device("cpu"), torch.float32)
    try:
        sample = [
            inputs
            for catalogue in options.catalogues
            for inputs in products(catalogue, backbones, count=options.count, seed=options.seed)
        ]
    except InvalidInput as error:
        parser.error(str(error))
    save_file(ranges(sample, backbones), options.out)


if __name__ == "__main__":
    main()
