"""Late fusion in the place of the single stream: the baseline, trained on the same batches by the same trainer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from encoders.towers import late_fusion as fusion
from encoders.towers.backbones import CELL_DIM, CHANNELS, IMAGE_DIM, TEXT_DIM, WHOLE_DIM
from encoders.towers.late_fusion import LateFusion
from encoders.towers.single_stream import ItemInput, TextInput, TowerOutput, TowerShape
from training.data.corpus import Corpus
from training.initialize import directions


class LateFusionTowers(nn.Module):
    """The heads of `encoders.fusion` behind the interface of `SingleStream`. It has no tokens of its own."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        self.shape = shape
        self.fusion = LateFusion(
            fusion.LateFusionShape(TEXT_DIM, IMAGE_DIM, shape.dim, 2 * shape.width, shape.photo_side)
        )

    def read(self, given: TextInput | ItemInput) -> TowerOutput:
        # So few numbers are computed as exactly as they are compared.
        device = given.seen.device if isinstance(given, TextInput) else given.there.device
        with torch.autocast(device.type, enabled=False):
            return self.query(given) if isinstance(given, TextInput) else self.item(given)

    def query(self, text: TextInput) -> TowerOutput:
        vector = self.fusion.text(_mean(text))
        return TowerOutput(vector[:, None], text.seen.any(1, keepdim=True), vector)

    def item(self, item: ItemInput) -> TowerOutput:
        there, titled = item.there.any(1), item.title.seen.any(1)
        photos = (
            item.photos[:, :1] if item.photos.shape[1] else item.photos.new_zeros(len(item), 1, self.shape.features)
        )
        image = self.fusion.image(pooled(photos[:, 0], self.shape.cells))
        vector = self.fusion.fuse(self.fusion.text(_mean(item.title)), image, has_text=titled, has_image=there)
        return TowerOutput(vector[:, None], (titled | there)[:, None], vector)

    def standardised(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        """For tasks that hide cells, of which late fusion has none."""
        return photos[..., :0], photos[..., :0]


def fresh(shape: TowerShape, corpus: Corpus, *, seed: int) -> LateFusionTowers:
    """Heads that start as the main directions of the texts, and photos standardised, with no bend in them yet."""
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    late = LateFusionTowers(shape)
    heads = late.fusion
    rows = np.intersect1d(np.flatnonzero(corpus.has_photo), corpus.train.item)
    with torch.no_grad():
        lines = directions([corpus.titles, corpus.queries, corpus.plain], shape.dim, draw)
        heads.text_line.weight.copy_(nn.functional.normalize(lines, dim=1))
        nn.init.normal_(heads.image_line.weight, std=IMAGE_DIM**-0.5)
        if len(rows):
            some = np.sort(draw.choice(rows, min(_SAMPLE, len(rows)), replace=False))
            seen = pooled(torch.from_numpy(np.asarray(corpus.photos[some])).float(), shape.cells)
            heads.image_mean.copy_(seen.mean(0))
            heads.image_scale.copy_(1 / seen.std(0, correction=0).clamp(min=1e-3))
    return late


def pooled(photos: Tensor, cells: int) -> Tensor:
    """What `ImageTower.forward` says, from what `ImageTower.grid` does: (n, features) to (n, IMAGE_DIM)."""
    grid, whole = photos[:, :-WHOLE_DIM].reshape(len(photos), cells, CELL_DIM), photos[:, -WHOLE_DIM:]
    parts, first = [], 0
    for number, channels in enumerate(CHANNELS):
        mean = grid[..., first : first + channels]
        square = mean * mean
        first += channels
        if number < len(CHANNELS) - 1:
            square = square + torch.square(grid[..., first : first + channels])
            first += channels
        average = mean.mean(1)
        parts += [average, (square.mean(1) - average * average).clamp(min=0).sqrt()]
    return torch.cat((*parts, whole), 1)


def _mean(text: TextInput) -> Tensor:
    kept = text.seen[..., None].to(text.states.dtype)
    mean: Tensor = (text.states * kept).sum(1) / kept.sum(1).clamp(min=1)
    return mean


_SAMPLE = 4096
