"""Vectors of many queries at once, to measure a model: no batching of callers and no threads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.batching.oom_split import run_splitting_on_oom
from encoders.model import Model, to_vectors

_BATCH = 64


def query_vectors(model: Model, texts: Sequence[str]) -> NDArray[np.float32]:
    """The fused vectors of text queries, float32 (texts, dim), in order. Texts of similar length share a batch."""
    order = np.argsort([len(text) for text in texts], kind="stable").tolist()
    rows: list[NDArray[np.float32]] = []
    for start in range(0, len(order), _BATCH):
        inputs = [model.prepare(texts[i], None) for i in order[start : start + _BATCH]]
        rows.extend(run_splitting_on_oom(lambda batch: list(to_vectors(model.forward_queries(batch))), inputs))
    by_length = np.stack(rows)
    vectors = np.empty_like(by_length)
    vectors[order] = by_length
    return vectors
