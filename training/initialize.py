"""Towers to start a training from: the meaning of the text backbone, photos standardised, and no more."""

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
    """Towers in which both texts keep the backbone's similarities, and photos say little as yet."""
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
        for given in (towers.kinds, towers.places, towers.numbers, towers.mask):
            nn.init.normal_(given, std=0.02)
        _standardise(towers, corpus, backbones, np.random.default_rng(seed))
    own = backbones.text_tower.layers[len(backbones.text_tower.layers) - shape.text_layers :]
    for layers in (towers.text, towers.query_text):
        if layers is not None:
            layers.load_state_dict({name: value.float() for name, value in own.state_dict().items()})
    if towers.image is not None:
        towers.image.load_state_dict({k: v.float() for k, v in backbones.image_tower.state_dict().items()})
    return towers


def directions(all_states: list[FeatureStates], width: int, draw: np.random.Generator) -> torch.Tensor:
    """(width, TEXT_DIM): texts' main directions, by their means, scaled so that a token's numbers are around one."""
    means = []
    for states in all_states:
        if len(states):
            rows = draw.choice(len(states), min(_SAMPLE, len(states)), replace=False)
            text = states.text(rows)
            means.append((text.states.sum(1) / text.seen.sum(1, keepdim=True)).float())
    x = torch.cat(means)
    _, _, main = torch.linalg.svd(nn.functional.normalize(x, dim=1), full_matrices=False)
    lines = torch.zeros(width, TEXT_DIM)
    lines[: len(main)] = main[:width]
    scale: torch.Tensor = width**0.5 / x.norm(dim=1).mean()
    return lines * scale


def _standardise(towers: SingleStream, corpus: Corpus, backbones: Backbones, draw: np.random.Generator) -> None:
    rows = np.flatnonzero(corpus.has_photo)
    # Only what is trained on: nothing held back has a say in what the model becomes.
    rows = np.intersect1d(rows, corpus.train.item)
    rows = np.sort(draw.choice(rows, min(_SAMPLE, len(rows)), replace=False))
    if not len(rows):
        return
    photos = torch.from_numpy(np.asarray(corpus.photos[rows]))
    if photos.dtype == torch.uint8:
        parts = [backbones.image_tower.grid(some.to(backbones.device)).cpu() for some in torch.split(photos, 64)]
        photos = torch.cat(parts)
    features = photos.float()
    cells, whole = features[:, :-WHOLE_DIM].reshape(-1, CELL_DIM), features[:, -WHOLE_DIM:]
    for mean, scale, x in (
        (towers.cell_mean, towers.cell_scale, cells),
        (towers.whole_mean, towers.whole_scale, whole),
    ):
        mean.copy_(x.mean(0))
        scale.copy_(1 / x.std(0, correction=0).clamp(min=1e-3))
