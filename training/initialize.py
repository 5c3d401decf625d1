"""The initial towers of a training: they keep the text backbone's similarities and standardise photos."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from encoders.models.late_fusion import Backbones
from encoders.towers.backbones import CELL_DIM, TEXT_DIM, WHOLE_DIM
from encoders.towers.single_stream import SingleStream, TowerShape
from training.data.corpus import Corpus
from training.data.features import FeatureStates

_SAMPLE = 4096


def initialize(shape: TowerShape, corpus: Corpus, backbones: Backbones, *, seed: int) -> SingleStream:
    """Towers in which titles and queries keep the backbone's similarities and photos contribute little."""
    torch.manual_seed(seed)
    towers = SingleStream(shape)
    lines = directions([corpus.titles, corpus.queries, corpus.plain], shape.width, np.random.default_rng(seed))
    with torch.no_grad():
        towers.text_in.weight.copy_(lines)
        if towers.query_in is not None:
            towers.query_in.line.weight.copy_(lines)
        for projection in (towers.to_item, towers.to_query):
            projection.weight.copy_(torch.eye(shape.dim, shape.width))
        for line, dim in ((towers.cell_in, CELL_DIM), (towers.whole_in, WHOLE_DIM)):
            nn.init.normal_(line.weight, std=0.3 * dim**-0.5)
            nn.init.zeros_(line.bias)
        for embedding in (towers.kinds, towers.places, towers.numbers, towers.mask):
            nn.init.normal_(embedding, std=0.02)
        _standardise(towers, corpus, backbones, np.random.default_rng(seed))
    last_layers = backbones.text_tower.layers[len(backbones.text_tower.layers) - shape.text_layers :]
    for layers in (towers.text, towers.query_text):
        if layers is not None:
            layers.load_state_dict({name: value.float() for name, value in last_layers.state_dict().items()})
    if towers.image is not None:
        towers.image.load_state_dict({k: v.float() for k, v in backbones.image_tower.state_dict().items()})
    return towers


def directions(all_states: list[FeatureStates], width: int, rng: np.random.Generator) -> torch.Tensor:
    """Principal directions of the texts' mean states, (width, TEXT_DIM), scaled so that token features are near one."""
    means = []
    for states in all_states:
        if len(states):
            rows = rng.choice(len(states), min(_SAMPLE, len(states)), replace=False)
            text = states.text(rows)
            means.append((text.states.sum(1) / text.seen.sum(1, keepdim=True)).float())
    x = torch.cat(means)
    _, _, components = torch.linalg.svd(nn.functional.normalize(x, dim=1), full_matrices=False)
    lines = torch.zeros(width, TEXT_DIM)
    lines[: len(components)] = components[:width]
    scale: torch.Tensor = width**0.5 / x.norm(dim=1).mean()
    return lines * scale


def _standardise(towers: SingleStream, corpus: Corpus, backbones: Backbones, rng: np.random.Generator) -> None:
    """Set the means and scales of photo features, from training products only."""
    rows = np.flatnonzero(corpus.has_photo)
    rows = np.intersect1d(rows, corpus.train.item)
    rows = np.sort(rng.choice(rows, min(_SAMPLE, len(rows)), replace=False))
    if not len(rows):
        return
    photos = torch.from_numpy(np.asarray(corpus.photos[rows]))
    if photos.dtype == torch.uint8:
        grids = [backbones.image_tower.grid(part.to(backbones.device)).cpu() for part in torch.split(photos, 64)]
        photos = torch.cat(grids)
    features = photos.float()
    cells, whole = features[:, :-WHOLE_DIM].reshape(-1, CELL_DIM), features[:, -WHOLE_DIM:]
    for mean, scale, x in (
        (towers.cell_mean, towers.cell_scale, cells),
        (towers.whole_mean, towers.whole_scale, whole),
    ):
        mean.copy_(x.mean(0))
        scale.copy_(1 / x.std(0, correction=0).clamp(min=1e-3))
