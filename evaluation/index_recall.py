"""How much of what an exact search of the live collection finds its ordinary search finds too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from catalog.domain.index_query import IndexQuery
from catalog.ports import ProductReader


async def exact_recall(
    shelf: ProductReader, vectors: NDArray[np.float32], *, using: str, k: int
) -> NDArray[np.float64]:
    """For each query (dim,) of vectors (queries, dim), the share of the exact first k that the ordinary search finds.

    A hit with the score of the last exact one counts, whichever of the equal ones it is. Queries that find nothing at
    all are left out. Raises what the shelf raises.
    """
    shares = []
    for vector in vectors:
        exact = await shelf.search(IndexQuery(vector=vector, using=using, limit=k, exact=True))
        found = await shelf.search(IndexQuery(vector=vector, using=using, limit=k))
        if exact:
            wanted, least = {hit.key for hit in exact}, exact[-1].score
            shares.append(sum(hit.key in wanted or hit.score >= least for hit in found) / len(exact))
    return np.array(shares)
