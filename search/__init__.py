"""The query path over HTTP: an API, its documentation and one page, all served without a network."""

from search.app import Dependencies, create_app
from search.auth.key_file import KeyFile
from search.health import Health, index_health
from search.policy import SearchPolicy
from search.routes.product_stream import ProductStream, ProductStreamPolicy, product_stream_routes
from search.server import check_address, run, serve

__all__ = [
    "Dependencies",
    "Health",
    "KeyFile",
    "ProductStream",
    "ProductStreamPolicy",
    "SearchPolicy",
    "check_address",
    "create_app",
    "index_health",
    "product_stream_routes",
    "run",
    "serve",
]
