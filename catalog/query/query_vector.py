"""Several things that hits are to be like, or unlike, as one vector."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from catalog.domain.product import ProductKey
from catalog.errors import InvalidInput, NotFound
from catalog.ports import QueryEncoder, Vector, VectorReader
from catalog.query.query import QueryPart

# A sum this short beside its parts has lost most of its digits, and points anywhere.
NOTHING = 1e-3


class QueryVectorBuilder:
    """Parts to one vector: the sum of the parts' vectors, each of length one, by their weights; of length one again."""

    def __init__(self, *, encoder: QueryEncoder, looks: VectorReader) -> None:
        self._encoder = encoder
        self._looks = looks

    async def __call__(self, parts: Sequence[QueryPart], *, using: str, tenant: str | None) -> Vector:
        """A vector (dim,) to search the vectors `using` with.

        Raises InvalidInput where the parts cancel each other out, NotFound for a product that is none or none of
        `tenant`, and what the encoder raises.
        """
        vectors = await asyncio.gather(*(self._vector(part, using, tenant) for part in parts))
        if len({vector.shape for vector in vectors}) > 1:
            raise InvalidInput(
                f"using: products have vectors {using!r} of another length than words: leave one of them out"
            )
        if len(parts) == 1:
            return vectors[0] if parts[0].weight > 0 else -vectors[0]
        weights = np.array([part.weight for part in parts], np.float32)
        total: Vector = weights @ np.stack(vectors)
        length = float(np.linalg.norm(total))
        if length < NOTHING * float(np.abs(weights).sum()):
            raise InvalidInput("mix: the parts cancel each other out, so nothing is asked for: change a weight")
        return total / np.float32(length)

    async def _vector(self, part: QueryPart, using: str, tenant: str | None) -> Vector:
        if part.product is None:
            return await self._encoder.encode_query(text=part.text, image=part.image)
        found = await self._looks.vectors(part.product) if tenant in (None, part.product.tenant) else None
        if found is None:
            raise none_of(part.product)
        if using not in found:
            raise InvalidInput(f"using: the product {part.product.id!r} has no vector {using!r}, as it has no photo")
        return found[using]


def none_of(key: ProductKey) -> NotFound:
    """What to raise where a query names a product that is not there, or not for the one who asks."""
    return NotFound(f"there is no live product {key.id!r} of tenant {key.tenant!r}")
