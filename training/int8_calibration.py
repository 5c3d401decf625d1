"""The ranges of the frozen backbones' activations on real products: `python -m training.int8_calibration`.

They are computed once, and shipped: ranges of each shop's own products would give each process its own vectors.
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
# Early layers are wide and shallow: their time is memory's, not arithmetic's. Of the others rounding costs these most.
_LEFT_OUT = (
    "stages.0.", "stages.1.", "stages.2.0.",
    "stages.3.0.project", "stages.5.0.project", "stages.5.3.project", "stages.6.0.project",
)  # fmt: skip


def layers_of(tower: TextTower | ImageTower) -> dict[str, nn.Module]:
    """The layers that may be rounded by their names: linear ones, pointwise convolutions but for some."""
    if isinstance(tower, TextTower):
        return {name: layer for name, layer in tower.named_modules() if isinstance(layer, nn.Linear)}
    return {
        name: layer
        for name, layer in tower.named_modules()
        if getattr(layer, "kernel", 0) == 1 and not name.startswith(_LEFT_OUT)
    }


class ActivationRanges:
    """The least and the most of each channel that went into a tower's layers, while it is in force."""

    def __init__(self, tower: TextTower | ImageTower) -> None:
        self.tower = tower
        self.ranges: dict[str, Tensor] = {}
        for name, layer in layers_of(tower).items():
            layer.register_forward_pre_hook(lambda _, given, name=name: self._saw(name, given[0]))

    def _saw(self, name: str, x: Tensor) -> None:
        # A photo's channels come second, a token's last.
        rows = x.transpose(0, 1).flatten(1) if x.ndim == 4 else x.flatten(0, -2).T
        found = torch.stack((rows.amin(1), rows.amax(1)))
        known = self.ranges.get(name, found)
        self.ranges[name] = torch.stack((torch.minimum(known[0], found[0]), torch.maximum(known[1], found[1])))


def ranges(batch: Sequence[Inputs], backbones: Backbones) -> dict[str, Tensor]:
    """For each layer float16 (2, channels), its tower's name before its own."""
    text, image = ActivationRanges(backbones.text_tower), ActivationRanges(backbones.image_tower)
    with torch.inference_mode():
        for inputs in batch:
            if inputs.tokens:
                backbones.states([inputs.tokens])
        shown = [inputs.pixels for inputs in batch if inputs.pixels is not None]
        for start in range(0, len(shown), _BATCH):
            backbones.image_tower(torch.from_numpy(np.stack(shown[start : start + _BATCH])))
    both = {kind_of(seen.tower): seen.ranges for seen in (text, image)}
    return {f"{kind}.{name}": found.half() for kind, seen in both.items() for name, found in seen.items()}


def products(catalogue: Path, backbones: Backbones, *, count: int, seed: int) -> Iterator[Inputs]:
    """Some of what may be trained on, drawn at random. Raises InvalidInput."""
    examples = read(catalogue)
    taught = np.flatnonzero(parts_of(examples, SplitPolicy(seed=seed)) == TRAIN)
    for row in np.random.default_rng(seed).permutation(taught)[:count].tolist():
        data = examples[row].photo
        photo = decode(data, ImagePolicy(), target=PHOTO_SIDE) if data else None
        yield backbones.prepare(examples[row].title, photo, side=PHOTO_SIDE)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.int8_calibration", description=__doc__)
    parser.add_argument("catalogues", type=Path, nargs="+", help="parquet or JSONL files, or folders of them")
    parser.add_argument("--out", type=Path, default=RANGES, help="the file that is written")
    parser.add_argument("--count", type=int, default=200, help="products of each catalogue")
    parser.add_argument("--seed", type=int, default=0, help="of the split and of what is drawn")
    options = parser.parse_args(arguments)
    backbones = Backbones(torch.device("cpu"), torch.float32)
    try:
        seen = [
            inputs
            for catalogue in options.catalogues
            for inputs in products(catalogue, backbones, count=options.count, seed=options.seed)
        ]
    except InvalidInput as error:
        parser.error(str(error))
    save_file(ranges(seen, backbones), options.out)


if __name__ == "__main__":
    main()
