"""Combines the parts of a query into one vector."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from catalog.domain.product import ProductKey
from catalog.errors import InvalidInput, NotFound
from catalog.ports import QueryEncoder, Vector, VectorReader
from catalog.query.query import QueryPart

# A sum this short, relative to its parts, has lost most of its digits and points in an arbitrary direction.
MIN_RELATIVE_LENGTH = 1e-3


class QueryVectorBuilder:
    """Builds the weighted sum of the parts' unit vectors, normalised to length one."""

    def __init__(self, *, encoder: QueryEncoder, vector_reader: VectorReader) -> None:
        self._encoder = encoder
        self._vector_reader = vector_reader

    async def __call__(self, parts: Sequence[QueryPart], *, using: str, tenant: str | None) -> Vector:
        """A vector (dim,) to compare with the named vectors `using`.

        Raises InvalidInput if the parts cancel out, NotFound if a product does not exist or belongs to another tenant,
        and any error of the encoder.
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
        if length < MIN_RELATIVE_LENGTH * float(np.abs(weights).sum()):
            raise InvalidInput("mix: the parts cancel each other out, so the query is empty: change a weight")
        return total / np.float32(length)

    async def _vector(self, part: QueryPart, using: str, tenant: str | None) -> Vector:
        if part.product is None:
            return await self._encoder.encode_query(text=part.text, image=part.image)
        visible = tenant in (None, part.product.tenant)
        vectors = await self._vector_reader.vectors(part.product) if visible else None
        if vectors is None:
            raise product_not_found(part.product)
        if using not in vectors:
            raise InvalidInput(f"using: the product {part.product.id!r} has no vector {using!r}, as it has no photo")
        return vectors[using]


def product_not_found(key: ProductKey) -> NotFound:
    """The error for a query that names a product that does not exist, or that the caller may not see."""
    return NotFound(f"there is no live product {key.id!r} of tenant {key.tenant!r}")
