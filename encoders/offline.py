"""Many queries at once, for whoever measures a model: no batching of callers, no thread of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.batching.oom_split import run_splitting_on_oom
from encoders.model import Model, to_vectors

_BATCH = 64


def query_vectors(model: Model, texts: Sequence[str]) -> NDArray[np.float32]:
    """The fused vectors of queries of text, float32 (texts, dim), in order. Sorted by length inside: less padding."""
    order = np.argsort([len(text) for text in texts], kind="stable").tolist()
    rows: list[NDArray[np.float32]] = []
    for start in range(0, len(order), _BATCH):
        some = [model.prepare(texts[i], None) for i in order[start : start + _BATCH]]
        rows.extend(run_splitting_on_oom(lambda batch: list(to_vectors(model.forward_queries(batch))), some))
    found = np.stack(rows)
    back = np.empty_like(found)
    back[order] = found
    return back
