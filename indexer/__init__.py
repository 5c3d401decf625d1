"""The Qdrant adapter: products as points of the live collection, on a cluster or on the embedded engine."""

from indexer.candidates import QdrantCandidates
from indexer.collection import CollectionPolicy, collection_name, ensure, prepare, promote, serving
from indexer.facets import QdrantFacets
from indexer.image_retry_queue import QdrantUnhealed
from indexer.qdrant.connection import connect
from indexer.qdrant.queries import GraphPolicy
from indexer.reader import QdrantShelf
from indexer.recent_products import QdrantRecent
from indexer.tombstones import Tombstones, Waiting
from indexer.writer import QdrantIndex, RequestPolicy

__all__ = [
    "CollectionPolicy",
    "GraphPolicy",
    "QdrantCandidates",
    "QdrantFacets",
    "QdrantIndex",
    "QdrantRecent",
    "QdrantShelf",
    "QdrantUnhealed",
    "RequestPolicy",
    "Tombstones",
    "Waiting",
    "collection_name",
    "connect",
    "ensure",
    "prepare",
    "promote",
    "serving",
]
