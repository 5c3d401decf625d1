"""The query path over HTTP: an API, its documentation and one page, all served without a network."""

from search.app import Parts, create_app
from search.auth.key_file import Keyring
from search.health import Health, index_health
from search.policy import SearchPolicy
from search.routes.product_stream import Live, LivePolicy, live_routes
from search.server import run, serve

__all__ = [
    "Health",
    "Keyring",
    "Live",
    "LivePolicy",
    "Parts",
    "SearchPolicy",
    "create_app",
    "index_health",
    "live_routes",
    "run",
    "serve",
]
