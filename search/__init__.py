"""The query path over HTTP: an API, its documentation and one page, all served without a network."""

from search.app import Parts, create_app
from search.health import Health, index_health
from search.keyring import Keyring
from search.live import Live, LivePolicy, live_routes
from search.policy import SearchPolicy
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
