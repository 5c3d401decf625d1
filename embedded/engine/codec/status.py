"""Refusals: each has the gRPC status that a Qdrant server would give, and a readable sentence."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.unknown_fields import UnknownFieldSet

_SERVER = "run a Qdrant server for it"

_FORBIDDEN_CHARACTERS = frozenset('<>:"/\\|?*\0\x1f')

# The beginnings of the engine's texts for errors of the caller. Every other error is the engine's own.
_CALLER_ERRORS = (
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
    """A request that is refused or failed. `code` is a grpc.StatusCode; the text is the reason."""

    def __init__(self, code: Any, text: str) -> None:
        super().__init__(text)
        self.code = code


def invalid(text: str) -> StatusError:
    """The request is invalid, on a server too."""
    return StatusError(grpc.StatusCode.INVALID_ARGUMENT, f"Wrong input: {text}")


def missing(text: str) -> StatusError:
    """The request names something that does not exist."""
    return StatusError(grpc.StatusCode.NOT_FOUND, f"Not found: {text}")


def exists(text: str) -> StatusError:
    """The request would create something that exists."""
    return StatusError(grpc.StatusCode.ALREADY_EXISTS, text)


def unsupported(what: str) -> StatusError:
    """A Qdrant server supports it; this engine does not."""
    return StatusError(grpc.StatusCode.UNIMPLEMENTED, f"the embedded engine does not support {what}; {_SERVER}")


def only(message: Any, *supported: str) -> None:
    """Refuse by name any field set in `message` that is not `supported`, so that none is silently ignored."""
    name = message.DESCRIPTOR.name
    for field, _ in message.ListFields():
        if field.name not in supported:
            raise unsupported(f"{name}.{field.name}")
    for unknown in UnknownFieldSet(message):
        raise unsupported(f"{name} field {unknown.field_number}, which is newer than it")


def variant(message: Any, oneof: str) -> str:
    """The member of `oneof` that is set. Refuses a message without one: from a newer client, or empty."""
    which: str | None = message.WhichOneof(oneof)
    if which is None:
        raise invalid(f"a {message.DESCRIPTOR.name} of a kind that the embedded engine does not know")
    return which


def check_name(name: str) -> None:
    """Refuse a name of a collection, alias or vector that a server refuses, so that names work on both."""
    if not 1 <= len(name) <= 255:
        raise invalid("a name has 1 to 255 characters")
    for character in _FORBIDDEN_CHARACTERS.intersection(name):
        raise invalid(f"{name!r} contains {character!r}, which is not allowed in a name")


def from_engine(error: Exception) -> StatusError:
    """An error of the engine as the status that a server gives for it."""
    text = str(error)
    if text.startswith("No point with id"):
        return missing(text)
    if "Shard is not initialized" in text:
        return missing("the collection was dropped while it was being read")
    # The binding raises ValueError, TypeError and OverflowError for arguments it cannot turn into the engine's own.
    if text.startswith(_CALLER_ERRORS) or isinstance(error, ValueError | TypeError | OverflowError):
        return invalid(text)
    return StatusError(grpc.StatusCode.INTERNAL, f"Service internal error: {text}")
