"""What the service says no with, told apart by what the caller does about it. Each text is the service's sentence.

ServiceError
├── InvalidRequestError      the request cannot be answered as it is: change it
├── AuthError    the key is missing, unknown, or may not do this
├── NotFoundError     there is no such live product
├── Busy         too much is being asked: try again after `retry_after` seconds
├── Away         the service, or what it needs, does not answer: try again later
└── ServerError       the service broke, or what answered is no liveshelf
"""

from __future__ import annotations

from catalog.errors import InvalidInput, LiveshelfError, Unavailable


class ServiceError(LiveshelfError):
    """No answer, or one that is an error.

    `status` is HTTP's, None where nothing answered; `type` is the service's name for it, `field` the field at fault.
    `retry_after` is in seconds, where the service says when to come back.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,
        field: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.field = field
        self.retry_after = retry_after


class InvalidRequestError(ServiceError, InvalidInput):
    """The request cannot be answered as it is."""


class AuthError(ServiceError, InvalidInput):
    """The key is missing, unknown, or may not do this."""


class NotFoundError(ServiceError, InvalidInput):
    """There is no such live product, or it is another tenant's."""


class RateLimitedError(ServiceError, Unavailable):
    """Too much is being asked."""


class UnavailableError(ServiceError, Unavailable):
    """The service, or what it needs, does not answer."""


class ServerError(ServiceError):
    """The service broke, or what answered is no liveshelf."""


def error_of(status: int, body: object, retry_after: str | None) -> ServiceError:
    """The error that an answer of this status and JSON body is."""
    said = body.get("error") if isinstance(body, dict) else None
    if not isinstance(said, dict) or not isinstance(said.get("message"), str):
        said = {"message": f"the service answered {status} without a word: is it liveshelf that answers there?"}
    kind = _KINDS.get(status) or (InvalidRequestError if 400 <= status < 500 else ServerError)
    if said.get("type") == "not_found":  # a product that a query names, too
        kind = NotFoundError
    wait = _seconds(retry_after)
    return kind(said["message"], status=status, type=said.get("type"), field=said.get("field"), retry_after=wait)


_KINDS: dict[int, type[ServiceError]] = {
    401: AuthError,
    403: AuthError,
    404: NotFoundError,
    408: UnavailableError,
    429: RateLimitedError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; a date there is none of ours."""
    return float(header) if header is not None and header.strip().isdecimal() else None
