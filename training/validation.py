"""Recall of validation queries among validation products, measured during training."""

from __future__ import annotations

import numpy as np
import torch

from training.data.batch import moved
from training.data.corpus import Corpus
from training.late_fusion import Towers
from training.sampler import validation_batches
from training.tasks.negatives import Positives

_BATCH = 128


def recall(towers: Towers, corpus: Corpus, *, queries: int, k: int = 10) -> dict[str, float]:
    """recall@k of at most `queries` validation queries, by whole product and by photo alone.

    The queries are evenly spaced over the log, whose first queries are the most frequent. A query's recall is the
    number of its items among the first k, divided by the number of its items or by k, whichever is smaller.
    """
    numbers = np.unique(corpus.validation.query)
    numbers = numbers[np.linspace(0, len(numbers) - 1, min(queries, len(numbers))).astype(np.int64)]
    if not len(numbers) or not len(corpus.validation_items):
        return {}
    was_training, device = towers.training, next(towers.parameters()).device
    towers.eval()
    with torch.inference_mode():
        query = torch.cat([
            towers.query(moved(corpus.queries.text(numbers[start : start + _BATCH]), device)).vector
            for start in range(0, len(numbers), _BATCH)
        ])  # fmt: skip
        fused, photo = [], []
        for _, item in validation_batches(corpus, _BATCH):
            fused.append(towers.item(moved(item, device)).vector)
            photo.append(towers.item(moved(item.without_title(), device)).vector)
        cosines = {"recall@10": query @ torch.cat(fused).T, "photo recall@10": query @ torch.cat(photo).T}
    towers.train(was_training)
    positives = Positives(
        corpus.validation.query, corpus.validation.item, queries=len(corpus.queries), items=len(corpus.titles)
    )
    relevant = positives.among(torch.from_numpy(numbers), torch.from_numpy(corpus.validation_items))
    return {name: _recall(scores.cpu(), relevant, k) for name, scores in cosines.items()}


def _recall(scores: torch.Tensor, relevant: torch.Tensor, k: int) -> float:
    hits = relevant.gather(1, scores.topk(min(k, scores.shape[1]), dim=1).indices).sum(1)
    possible = relevant.sum(1).clamp(max=k)
    return float((hits[possible > 0] / possible[possible > 0]).mean()) if (possible > 0).any() else 0.0
