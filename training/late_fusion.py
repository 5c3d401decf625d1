"""Late fusion of the frozen backbones: the baseline, trained on the same batches by the same trainer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from encoders.towers import late_fusion as fusion
from encoders.towers.backbones import CELL_DIM, CHANNELS, IMAGE_DIM, TEXT_DIM, WHOLE_DIM
from encoders.towers.late_fusion import LateFusion
from encoders.towers.single_stream import ItemInput, SingleStream, TextInput, TowerOutput, TowerShape
from training.data.corpus import Corpus
from training.initialize import directions

_SAMPLE = 4096


class LateFusionTowers(nn.Module):
    """The heads of `encoders.towers.late_fusion` behind the interface of `SingleStream`. They have no tokens."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.shape = shape
        self.fusion = LateFusion(
            fusion.LateFusionShape(TEXT_DIM, IMAGE_DIM, shape.dim, 2 * shape.width, shape.photo_side)
        )

    def read(self, view: TextInput | ItemInput) -> TowerOutput:
        # The heads are small, so they run in float32.
        device = view.seen.device if isinstance(view, TextInput) else view.there.device
        with torch.autocast(device.type, enabled=False):
            return self.query(view) if isinstance(view, TextInput) else self.item(view)

    def query(self, text: TextInput) -> TowerOutput:
        vector = self.fusion.text(_mean(text))
        return TowerOutput(vector[:, None], text.seen.any(1, keepdim=True), vector)

    def item(self, item: ItemInput) -> TowerOutput:
        has_photo, has_title = item.there.any(1), item.title.seen.any(1)
        photos = (
            item.photos[:, :1] if item.photos.shape[1] else item.photos.new_zeros(len(item), 1, self.shape.features)
        )
        image = self.fusion.image(pooled(photos[:, 0], self.shape.cells))
        vector = self.fusion.fuse(self.fusion.text(_mean(item.title)), image, has_text=has_title, has_image=has_photo)
        return TowerOutput(vector[:, None], (has_title | has_photo)[:, None], vector)

    def standardised(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        """No features: late fusion has no cells to hide."""
        return photos[..., :0], photos[..., :0]


Towers = SingleStream | LateFusionTowers


def initialize_late_fusion(shape: TowerShape, corpus: Corpus, *, seed: int) -> LateFusionTowers:
    """Linear heads: principal directions of the texts, and standardised photos."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    towers = LateFusionTowers(shape)
    heads = towers.fusion
    rows = np.intersect1d(np.flatnonzero(corpus.has_photo), corpus.train.item)
    with torch.no_grad():
        lines = directions([corpus.titles, corpus.queries, corpus.plain], shape.dim, rng)
        heads.text_line.weight.copy_(nn.functional.normalize(lines, dim=1))
        nn.init.normal_(heads.image_line.weight, std=IMAGE_DIM**-0.5)
        if len(rows):
            sample = np.sort(rng.choice(rows, min(_SAMPLE, len(rows)), replace=False))
            features = pooled(torch.from_numpy(np.asarray(corpus.photos[sample])).float(), shape.cells)
            heads.image_mean.copy_(features.mean(0))
            heads.image_scale.copy_(1 / features.std(0, correction=0).clamp(min=1e-3))
    return towers


def pooled(photos: Tensor, cells: int) -> Tensor:
    """Pool the output of `ImageTower.grid`, (n, features), as `ImageTower.forward` does, to (n, IMAGE_DIM)."""
    grid, whole = photos[:, :-WHOLE_DIM].reshape(len(photos), cells, CELL_DIM), photos[:, -WHOLE_DIM:]
    pooled_channels, first = [], 0
    for number, channels in enumerate(CHANNELS):
        mean = grid[..., first : first + channels]
        square = mean * mean
        first += channels
        if number < len(CHANNELS) - 1:
            square = square + torch.square(grid[..., first : first + channels])
            first += channels
        average = mean.mean(1)
        pooled_channels += [average, (square.mean(1) - average * average).clamp(min=0).sqrt()]
    return torch.cat((*pooled_channels, whole), 1)


def _mean(text: TextInput) -> Tensor:
    mask = text.seen[..., None].to(text.states.dtype)
    mean: Tensor = (text.states * mask).sum(1) / mask.sum(1).clamp(min=1)
    return mean
