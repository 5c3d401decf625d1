"""The HTTP application, from the parts it is given."""

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
from search.errors import ErrorMiddleware, answer_errors
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

DESCRIPTION = """Finds live products by words, by a photo, by both, or by a mix of several, and like one that is there.

Every answer that is not a success is `{"error": {"type", "message"}}`; the message is one sentence for a person.

Where the service has keys, one goes with every request, as `Authorization: Bearer KEY` or `X-API-Key: KEY`: without a
good one the answer is a 401, with one that may not read a 403, and with one that asks too often a 429. The header
`X-Timeout-Ms` says how long an answer is waited for."""
DEFAULT = SearchPolicy()


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the service is made of.

    `images` fetches what queries and photos refer to, if it is no file of ours. `collection` is where Qdrant has the
    products, for those who ask it themselves.
    """

    find: SearchService
    gather: CandidateService
    shelf: ProductReader
    images: ImageSource
    health: Callable[[], Awaitable[Health]]
    collection: str


def create_app(
    parts: Dependencies,
    *,
    policy: SearchPolicy = DEFAULT,
    keys: KeyFile | None = None,
    routers: Sequence[APIRouter] = (),
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """The search API, its documentation at /docs and the page at /, with nothing taken from another host.

    Without `keys` whoever reaches the service may ask. `routers` are what else it serves below /v1.
    `clock` gives seconds since 1970.
    """
    app = FastAPI(
        title="liveshelf search",
        version=version("liveshelf"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(AdmissionMiddleware, policy=policy)
    app.add_middleware(AuthMiddleware, policy=policy, keys=keys)
    if policy.origins:
        _let_pages_ask(app, policy)
    app.add_middleware(ErrorMiddleware)
    answer_errors(app, policy)
    asker = QueryBuilder(parts.images, policy)
    api = APIRouter(prefix="/v1")
    # The stream comes first: to the route of one product `stream` is an id.
    for router in (
        *routers,
        search_routes(parts.find, asker, policy, clock),
        candidate_routes(parts.gather, asker, policy),
        encode_routes(parts.find, asker, policy, collection=parts.collection),
        product_routes(parts.shelf, parts.images, policy, clock),
        status_routes(parts.health),
    ):
        api.include_router(router)
    app.include_router(api)
    app.include_router(probe_routes(parts.health))
    app.include_router(page_routes())
    return app


def _let_pages_ask(app: FastAPI, policy: SearchPolicy) -> None:
    """Pages of other origins may ask from a browser; no cookie goes with it, a key has to."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=sorted(policy.origins),
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", "x-api-key", TIMEOUT_HEADER],
        expose_headers=["retry-after"],
    )
