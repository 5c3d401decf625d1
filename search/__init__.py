"""The query path over HTTP: an API, its documentation and one page, all served without a network."""

from search.app import Parts, create_app
from search.health import Health, index_health
from search.keyring import Keyring
from search.policy import SearchPolicy
from search.server import run, serve

__all__ = ["Health", "Keyring", "Parts", "SearchPolicy", "create_app", "index_health", "run", "serve"]
