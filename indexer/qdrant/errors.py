"""What went wrong in a call to Qdrant, told apart by what the caller does about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from grpc import StatusCode
from grpc.aio import AioRpcError
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from catalog.errors import FatalError, InvalidInput, LiveshelfError, Unavailable


class InvalidRequest(InvalidInput):
    """Qdrant says that the request itself is invalid. Its text is Qdrant's reason."""


# OUT_OF_RANGE is the answer to a message over the server's limit on size, ALREADY_EXISTS to a name that is taken.
INVALID = frozenset({StatusCode.INVALID_ARGUMENT, StatusCode.OUT_OF_RANGE, StatusCode.ALREADY_EXISTS})
FORBIDDEN = frozenset({StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED})


@contextmanager
def calls(what: str) -> Iterator[None]:
    """Within, what a call raises becomes Unavailable, FatalError or InvalidRequest; `what` says what was being done."""
    try:
        yield
    except AioRpcError as error:
        raise _translated(what, error.code(), error.details() or "") from error
    except ResourceExhaustedResponse as error:
        raise Unavailable(f"Qdrant is too busy to {what}: {error}") from error


def _translated(what: str, code: StatusCode, details: str) -> LiveshelfError:
    if code in INVALID:
        return InvalidRequest(details)
    if code in FORBIDDEN:
        return FatalError(
            f"Qdrant does not let us {what} ({details or code.name}): set LIVESHELF_QDRANT_API_KEY to a key that may"
        )
    if code == StatusCode.NOT_FOUND:
        return FatalError(f"Qdrant cannot {what}: {details}; start a worker with this collection name to make it")
    if code == StatusCode.UNIMPLEMENTED:
        return FatalError(f"Qdrant cannot {what} ({details}): run Qdrant 1.18 or newer, and give its gRPC address")
    # The rest (unavailable, deadline, exhausted, aborted, and errors inside the server such as a full disk) can heal.
    return Unavailable(f"Qdrant did not {what} ({code.name}): {details}")
