"""How the index is reached: one address, spoken to over gRPC."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from qdrant_client import AsyncQdrantClient

from catalog.errors import InvalidInput

GRPC_PORT = 6334

# Without these gRPC waits up to two minutes before it tries a server that was away again.
RECONNECT = {"grpc.initial_reconnect_backoff_ms": 200, "grpc.max_reconnect_backoff_ms": 2000}


def connect(url: str, *, api_key: str | None, timeout_s: float) -> AsyncQdrantClient:
    """A client of the Qdrant at `url`; nothing is sent before the first call.

    `url` is the address of Qdrant's gRPC port, as in http://127.0.0.1:6334 (6334 where the port is left out); https
    turns TLS on. `timeout_s` is the deadline of calls about collections, rounded up to whole seconds. Raises
    InvalidInput for a URL that is none. Close the client with `await client.close()`, in the event loop that used it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or GRPC_PORT
    except ValueError as error:
        raise InvalidInput(
            f"{url!r} is not an address of Qdrant ({error}); give one like http://127.0.0.1:6334"
        ) from error
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/"):
        raise InvalidInput(f"{url!r} is not an address of Qdrant's gRPC port; give one like http://127.0.0.1:6334")
    return AsyncQdrantClient(
        host=f"[{host}]" if ":" in host else host,
        grpc_port=port,
        https=parts.scheme == "https",
        prefer_grpc=True,
        check_compatibility=False,
        timeout=max(1, round(timeout_s + 0.5)),
        grpc_options=dict(RECONNECT),
        # For the REST side, which is never spoken: trusts no one, and spares loading the certificates of everyone.
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        # As a header: given as `api_key`, the client warns of http, which is how a cluster is reached from inside.
        headers={"api-key": api_key} if api_key else None,
    )
