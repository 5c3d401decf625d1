"""Recall of held-back queries among held-back products, while training goes on."""

from __future__ import annotations

import numpy as np
import torch

from encoders.towers.single_stream import SingleStream
from training.data.batch import moved
from training.data.corpus import Corpus
from training.late_fusion import LateFusionTowers
from training.sampler import shelf_of
from training.tasks.negatives import Positives

_BATCH = 128


def recall(towers: SingleStream | LateFusionTowers, corpus: Corpus, *, queries: int, k: int = 10) -> dict[str, float]:
    """recall@k of `queries` validation queries, by whole product and by photo alone.

    They are taken at even distances, for the first ones of a log are its commonest. A query's recall is the share of
    its items among the first k, or of as many as k where it has more.
    """
    asked = np.unique(corpus.validation.query)
    asked = asked[np.linspace(0, len(asked) - 1, min(queries, len(asked))).astype(np.int64)]
    if not len(asked) or not len(corpus.shelf):
        return {}
    was, device = towers.training, next(towers.parameters()).device
    towers.eval()
    with torch.inference_mode():
        query = torch.cat([
            towers.query(moved(corpus.queries.text(asked[start : start + _BATCH]), device)).vector
            for start in range(0, len(asked), _BATCH)
        ])  # fmt: skip
        fused, photo = [], []
        for _, item in shelf_of(corpus, _BATCH):
            fused.append(towers.item(moved(item, device)).vector)
            photo.append(towers.item(moved(item.without_title(), device)).vector)
        cosines = {"recall@10": query @ torch.cat(fused).T, "photo recall@10": query @ torch.cat(photo).T}
    towers.train(was)
    known = Positives(
        corpus.validation.query, corpus.validation.item, queries=len(corpus.queries), items=len(corpus.titles)
    )
    right = known.among(torch.from_numpy(asked), torch.from_numpy(corpus.shelf))
    return {name: _recall(near.cpu(), right, k) for name, near in cosines.items()}


def _recall(near: torch.Tensor, right: torch.Tensor, k: int) -> float:
    found = right.gather(1, near.topk(min(k, near.shape[1]), dim=1).indices).sum(1)
    there = right.sum(1).clamp(max=k)
    return float((found[there > 0] / there[there > 0]).mean()) if (there > 0).any() else 0.0
