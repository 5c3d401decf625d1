"""A client of the liveshelf search service. Its only dependency is httpx."""

from liveshelf_client.client import AsyncClient, Client
from liveshelf_client.errors import (
    AuthError,
    InvalidRequestError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    ServiceError,
    UnavailableError,
)
from liveshelf_client.options import CandidateOptions, Part, SearchOptions, SimilarOptions
from liveshelf_client.results import Candidates, Encoding, Hit, Product, SearchResult, Timings
from liveshelf_client.retry import RetryPolicy

__all__ = [
    "AsyncClient",
    "AuthError",
    "CandidateOptions",
    "Candidates",
    "Client",
    "Encoding",
    "Hit",
    "InvalidRequestError",
    "NotFoundError",
    "Part",
    "Product",
    "RateLimitedError",
    "RetryPolicy",
    "SearchOptions",
    "SearchResult",
    "ServerError",
    "ServiceError",
    "SimilarOptions",
    "Timings",
    "UnavailableError",
]
