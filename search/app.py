"""The HTTP application, assembled from its dependencies."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from catalog.ports import ImageSource, ProductReader
from catalog.query.candidates import CandidateService
from catalog.query.search import SearchService
from search.auth.key_file import KeyFile
from search.errors import ErrorMiddleware, add_error_handlers
from search.health import Health
from search.middleware.admission import TIMEOUT_HEADER, AdmissionMiddleware
from search.middleware.authentication import AuthMiddleware
from search.page import page_routes
from search.parsing.query_builder import QueryBuilder
from search.policy import SearchPolicy
from search.routes.candidates import candidate_routes
from search.routes.encode import encode_routes
from search.routes.probes import probe_routes, status_routes
from search.routes.products import product_routes
from search.routes.search import search_routes

DESCRIPTION = """Finds live products by text, by a photo, by both, by a weighted mix, or by similarity to a product.

Every error response is `{"error": {"type", "message"}}`; the message is one sentence for a person.

If the service has API keys, send one with every request, as `Authorization: Bearer KEY` or `X-API-Key: KEY`. The
status is 401 without a valid key, 403 for a key that may not read, and 429 for a key that exceeds its rate. The header
`X-Timeout-Ms` limits the time to answer, in milliseconds."""
DEFAULT = SearchPolicy()


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The services and readers that the routes call.

    `images` fetches the photos of products and queries. `collection` is the Qdrant collection of the products, which
    `/v1/encode` names for clients that query Qdrant themselves.
    """

    search_service: SearchService
    candidate_service: CandidateService
    product_reader: ProductReader
    images: ImageSource
    health: Callable[[], Awaitable[Health]]
    collection: str


def create_app(
    dependencies: Dependencies,
    *,
    policy: SearchPolicy = DEFAULT,
    keys: KeyFile | None = None,
    routers: Sequence[APIRouter] = (),
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """The search API, its documentation at /docs and the page at /; no file is loaded from another host.

    Without `keys` every client may send requests. `routers` are additional routes below /v1. `clock` returns seconds
    since 1970.
    """
    app = FastAPI(
        title="liveshelf search",
        version=version("liveshelf"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    # Starlette runs the middleware that was added last first. A request passes through ErrorMiddleware, CORSMiddleware,
    # AuthMiddleware and AdmissionMiddleware: a client without a valid key takes no slot, and every error is JSON.
    app.add_middleware(AdmissionMiddleware, policy=policy)
    app.add_middleware(AuthMiddleware, policy=policy, keys=keys)
    if policy.origins:
        _allow_origins(app, policy)
    app.add_middleware(ErrorMiddleware)
    add_error_handlers(app, policy)
    query_builder = QueryBuilder(dependencies.images, policy)
    api = APIRouter(prefix="/v1")
    # The stream comes first: to the product route `stream` is a product id.
    for router in (
        *routers,
        search_routes(dependencies.search_service, query_builder, policy, clock),
        candidate_routes(dependencies.candidate_service, query_builder, policy),
        encode_routes(dependencies.search_service, query_builder, policy, collection=dependencies.collection),
        product_routes(dependencies.product_reader, dependencies.images, policy, clock),
        status_routes(dependencies.health),
    ):
        api.include_router(router)
    app.include_router(api)
    app.include_router(probe_routes(dependencies.health))
    app.include_router(page_routes())
    return app


def _allow_origins(app: FastAPI, policy: SearchPolicy) -> None:
    """Lets web pages of `policy.origins` call the API with a key. Cookies are not accepted from them."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=sorted(policy.origins),
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", "x-api-key", TIMEOUT_HEADER],
        expose_headers=["retry-after"],
    )
