"""Translates errors of Qdrant calls into the catalog's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from grpc import StatusCode
from grpc.aio import AioRpcError
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from catalog.errors import FatalError, InvalidInput, LiveshelfError, Unavailable


class InvalidRequest(InvalidInput):
    """Qdrant calls the request itself invalid. The text is Qdrant's reason."""


# OUT_OF_RANGE: the message exceeds the server's size limit. ALREADY_EXISTS: the name is taken.
INVALID = frozenset({StatusCode.INVALID_ARGUMENT, StatusCode.OUT_OF_RANGE, StatusCode.ALREADY_EXISTS})
FORBIDDEN = frozenset({StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED})


@contextmanager
def translated_errors(operation: str) -> Iterator[None]:
    """Turns errors of the calls inside into Unavailable, FatalError or InvalidRequest. `operation` is for the text."""
    try:
        yield
    except AioRpcError as error:
        raise _translated(operation, error.code(), error.details() or "") from error
    except ResourceExhaustedResponse as error:
        raise Unavailable(f"Qdrant is too busy to {operation}: {error}") from error


def _translated(operation: str, code: StatusCode, details: str) -> LiveshelfError:
    if code in INVALID:
        return InvalidRequest(details)
    if code in FORBIDDEN:
        return FatalError(
            f"Qdrant denies permission to {operation} ({details or code.name}): "
            "set LIVESHELF_QDRANT_API_KEY to a key that has it"
        )
    if code == StatusCode.NOT_FOUND:
        return FatalError(
            f"Qdrant cannot {operation}: {details}; start a worker with this collection name to create it"
        )
    if code == StatusCode.UNIMPLEMENTED:
        return FatalError(f"Qdrant cannot {operation} ({details}): run Qdrant 1.18 or newer, and give its gRPC address")
    # The other codes (unavailable, deadline, exhausted, aborted, internal such as a full disk) may be temporary.
    return Unavailable(f"Qdrant did not {operation} ({code.name}): {details}")
