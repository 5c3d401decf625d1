"""Answers that are no: each carries the gRPC status a Qdrant server would give, and a sentence for a person."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.unknown_fields import UnknownFieldSet

_SERVER = "run a Qdrant server for it"

_NOT_IN_NAMES = frozenset('<>:"/\\|?*\0\x1f')

# How the engine words an error that the caller caused; every other error is the engine's own.
_CALLERS_FAULT = (
    "Vector dimension error",
    "Not existing vector name",
    "Payload type does not match",
    "Unable to infer type",
    "Validation failed",
    "Wrong usage of sparse",
    "Wrong usage of multi",
    "No range index",
    "No appropriate index",
    "Wrong input",
    "Bad request",
)


class StatusError(Exception):
    """A request that is not carried out. `code` is a grpc.StatusCode; the text says why."""

    def __init__(self, code: Any, text: str) -> None:
        super().__init__(text)
        self.code = code


def invalid(text: str) -> StatusError:
    """The request is wrong as it stands, and would be on a server too."""
    return StatusError(grpc.StatusCode.INVALID_ARGUMENT, f"Wrong input: {text}")


def missing(text: str) -> StatusError:
    """What the request names does not exist."""
    return StatusError(grpc.StatusCode.NOT_FOUND, f"Not found: {text}")


def exists(text: str) -> StatusError:
    """What the request would make is there already."""
    return StatusError(grpc.StatusCode.ALREADY_EXISTS, text)


def unsupported(what: str) -> StatusError:
    """A Qdrant server would do it; this engine does not."""
    return StatusError(grpc.StatusCode.UNIMPLEMENTED, f"the embedded engine does not speak {what}; {_SERVER}")


def only(message: Any, *spoken: str) -> None:
    """Refuse by name any field set in `message` beyond the `spoken` ones, so that none is silently ignored."""
    name = message.DESCRIPTOR.name
    for field, _ in message.ListFields():
        if field.name not in spoken:
            raise unsupported(f"{name}.{field.name}")
    for unknown in UnknownFieldSet(message):
        raise unsupported(f"{name} field {unknown.field_number}, which is newer than it")


def variant(message: Any, oneof: str) -> str:
    """Which member of `oneof` is set. Refuses a message in which none is: a newer client's, or an empty one."""
    which: str | None = message.WhichOneof(oneof)
    if which is None:
        raise invalid(f"a {message.DESCRIPTOR.name} of no kind that the embedded engine knows")
    return which


def check_name(name: str) -> None:
    """Refuse a name, of a collection, an alias or a vector, that a server refuses: what works here works there."""
    if not 1 <= len(name) <= 255:
        raise invalid("a name has 1 to 255 characters")
    for letter in _NOT_IN_NAMES.intersection(name):
        raise invalid(f"{name!r} contains {letter!r}, which no name may")


def from_engine(error: Exception) -> StatusError:
    """What the engine raised, as the status a server gives for the same."""
    text = str(error)
    if text.startswith("No point with id"):
        return missing(text)
    if "Shard is not initialized" in text:
        return missing("the collection was dropped while it was being read")
    # The binding raises ValueError, TypeError and OverflowError for arguments it cannot turn into the engine's own.
    if text.startswith(_CALLERS_FAULT) or isinstance(error, ValueError | TypeError | OverflowError):
        return invalid(text)
    return StatusError(grpc.StatusCode.INTERNAL, f"Service internal error: {text}")
