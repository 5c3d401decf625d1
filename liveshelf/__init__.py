"""liveshelf keeps a shop's search index live. `Client` and `AsyncClient` ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liveshelf_client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> object:
    # Only when asked for: every command imports this package, and few of them are clients.
    if name in __all__:
        import liveshelf_client as client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
