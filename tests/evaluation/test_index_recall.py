from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from catalog.domain.filters import Condition
from catalog.domain.index_query import IndexQuery
from catalog.domain.product import ProductKey
from catalog.domain.space import FUSED
from catalog.ports import Hit, ProductWrite
from embedded.engine.process import EngineProcess
from evaluation.index_recall import exact_recall
from indexer import QdrantReader
from tests.contracts.test_product_writer import put
from tests.fakes import SPACE
from tests.fixtures_engine import collection_at


class LossyReader:
    """A reader of products with fixed scores, whose approximate search misses some of them."""

    def __init__(self, scores: dict[str, float], unseen: set[str]) -> None:
        self.scores = scores
        self.unseen = unseen

    async def search(self, query: IndexQuery) -> list[Hit]:
        visible = {name: score for name, score in self.scores.items() if query.exact or name not in self.unseen}
        ranked = sorted(visible, key=lambda name: -float(query.vector[0]) * visible[name])
        return [
            Hit(ProductKey("shop", name), float(query.vector[0]) * visible[name], {}) for name in ranked[: query.limit]
        ]

    async def get(self, key: ProductKey) -> None:
        return None

    async def count(self, conditions: Sequence[Condition] = ()) -> int:
        return len(self.scores)


QUERIES = np.array([[1.0], [1.0], [-1.0]], np.float32)


async def test_hits_that_the_approximate_search_misses_are_counted() -> None:
    reader = LossyReader({"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.1}, unseen={"a"})
    assert (await exact_recall(reader, QUERIES, using="fused", k=2)).tolist() == [0.5, 0.5, 1.0]


async def test_hits_with_equal_scores_are_interchangeable() -> None:
    reader = LossyReader({"a": 0.9, "b": 0.8, "c": 0.8}, unseen={"b"})
    assert (await exact_recall(reader, QUERIES[:1], using="fused", k=2)).tolist() == [1.0]


async def test_an_empty_index_has_no_recall() -> None:
    assert len(await exact_recall(LossyReader({}, set()), QUERIES, using="fused", k=2)) == 0


async def test_the_recall_of_a_real_collection(engine: EngineProcess) -> None:
    async with collection_at(engine.url, SPACE) as subject:
        writes: list[ProductWrite] = [put(ProductKey("shop", str(n)), 1) for n in range(40)]
        await subject.index.write(writes)
        assert isinstance(subject.shelf, QdrantReader)
        vectors = np.stack([write.vectors[FUSED] for write in writes if write.vectors])
        assert (await exact_recall(subject.shelf, vectors, using=FUSED, k=5)).tolist() == [1.0] * 40
        hits = await subject.shelf.search(IndexQuery(vector=vectors[3], limit=1, exact=True))
        assert hits[0].key == ProductKey("shop", "3")
