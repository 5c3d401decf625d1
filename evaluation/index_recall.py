"""The recall of the index: the share of exact hits that the approximate search finds too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catalog.domain.index_query import IndexQuery
from catalog.ports import ProductReader


async def exact_recall(
    reader: ProductReader, vectors: NDArray[np.float32], *, using: str, k: int
) -> NDArray[np.float64]:
    """For each query of vectors (queries, dim), the share of the exact first k that the approximate search finds.

    Any hit with at least the score of the last exact hit counts, so ties do not matter. Queries without an exact hit
    are left out. Raises the reader's errors.
    """
    shares = []
    for vector in vectors:
        exact = await reader.search(IndexQuery(vector=vector, using=using, limit=k, exact=True))
        approximate = await reader.search(IndexQuery(vector=vector, using=using, limit=k))
        if exact:
            keys, lowest = {hit.key for hit in exact}, exact[-1].score
            shares.append(sum(hit.key in keys or hit.score >= lowest for hit in approximate) / len(exact))
    return np.array(shares)
