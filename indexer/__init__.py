"""The Qdrant adapter: stores products as points, on a Qdrant cluster or on the embedded engine."""

from indexer.candidates import QdrantCandidateReader
from indexer.collection import (
    CollectionPolicy,
    CollectionStatus,
    collection_name,
    ensure,
    prepare,
    promote,
    serving,
    status,
)
from indexer.facets import QdrantFacetReader
from indexer.image_retry_queue import QdrantImageRetryQueue
from indexer.qdrant.connection import connect
from indexer.qdrant.queries import GraphPolicy
from indexer.reader import QdrantReader
from indexer.recent_products import QdrantRecentProducts
from indexer.tombstones import TombstoneStore, WaitingPatch
from indexer.writer import QdrantWriter, RequestPolicy

__all__ = [
    "CollectionPolicy",
    "CollectionStatus",
    "GraphPolicy",
    "QdrantCandidateReader",
    "QdrantFacetReader",
    "QdrantImageRetryQueue",
    "QdrantReader",
    "QdrantRecentProducts",
    "QdrantWriter",
    "RequestPolicy",
    "TombstoneStore",
    "WaitingPatch",
    "collection_name",
    "connect",
    "ensure",
    "prepare",
    "promote",
    "serving",
    "status",
]
