"""The Qdrant adapter: products as points of the live collection, on a cluster or on the embedded engine."""

from indexer.asks import GraphPolicy
from indexer.candidates import QdrantCandidates
from indexer.collection import CollectionPolicy, collection_name, ensure, prepare, promote, serving
from indexer.connection import connect
from indexer.facets import QdrantFacets
from indexer.index import QdrantIndex, RequestPolicy
from indexer.shelf import QdrantShelf
from indexer.tombstones import Tombstones, Waiting
from indexer.unhealed import QdrantUnhealed

__all__ = [
    "CollectionPolicy",
    "GraphPolicy",
    "QdrantCandidates",
    "QdrantFacets",
    "QdrantIndex",
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
