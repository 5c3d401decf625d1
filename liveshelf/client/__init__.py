"""The search service from Python, with httpx and nothing else of liveshelf's own dependencies."""

from liveshelf.client.answers import Candidates, Encoding, Found, Hit, Product, Took
from liveshelf.client.clients import AsyncClient, Client
from liveshelf.client.errors import Away, Busy, Failed, Forbidden, Invalid, NotFound, ServiceError
from liveshelf.client.options import CandidateOptions, Part, SearchOptions, SimilarOptions
from liveshelf.client.retries import Retries

__all__ = [
    "AsyncClient",
    "Away",
    "Busy",
    "CandidateOptions",
    "Candidates",
    "Client",
    "Encoding",
    "Failed",
    "Forbidden",
    "Found",
    "Hit",
    "Invalid",
    "NotFound",
    "Part",
    "Product",
    "Retries",
    "SearchOptions",
    "ServiceError",
    "SimilarOptions",
    "Took",
]
