"""What a call can raise. Each text is one sentence, the service's own if it answered.

ServiceError
├── InvalidRequestError    the request is wrong: change it
├── AuthError              the key is missing, unknown, or lacks the scope
├── NotFoundError          there is no such live product
├── RateLimitedError       too many requests: try again after `retry_after` seconds
├── UnavailableError       the service or its index does not answer: try again later
└── ServerError            the service failed, or another program answered
"""

from __future__ import annotations


class ServiceError(Exception):
    """The root of what a call raises.

    `status` is the HTTP status, None if nothing answered. `type` is the service's name of the error and `field` the
    field at fault. `retry_after` is in seconds, None if the service did not say.
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


class InvalidRequestError(ServiceError):
    """The request cannot be answered as it is."""


class AuthError(ServiceError):
    """The key is missing, unknown, or may not do this."""


class NotFoundError(ServiceError):
    """There is no such live product, or it is another tenant's."""


class RateLimitedError(ServiceError):
    """Too much is being asked."""


class UnavailableError(ServiceError):
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
