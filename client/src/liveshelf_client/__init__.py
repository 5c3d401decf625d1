"""The search service from Python, with httpx and nothing else of liveshelf's own dependencies."""

from liveshelf_client.client import AsyncClient, Client
from liveshelf_client.errors import Away, Busy, Failed, Forbidden, Invalid, NotFound, ServiceError
from liveshelf_client.options import CandidateOptions, Part, SearchOptions, SimilarOptions
from liveshelf_client.results import Candidates, Encoding, Found, Hit, Product, Took
from liveshelf_client.retry import Retries

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
