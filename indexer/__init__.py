"""The Qdrant adapter: products as points of the live collection, on a cluster or on the embedded engine."""

from indexer.collection import CollectionPolicy, collection_name, ensure, prepare, promote, serving
from indexer.connection import connect
from indexer.index import QdrantIndex, RequestPolicy
from indexer.shelf import QdrantShelf

__all__ = [
    "CollectionPolicy",
    "QdrantIndex",
    "QdrantShelf",
    "RequestPolicy",
    "collection_name",
    "connect",
    "ensure",
    "prepare",
    "promote",
    "serving",
]
