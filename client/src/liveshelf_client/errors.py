"""The errors that a method can raise. The text is one sentence; if the service answered, it is the service's own.

ServiceError
├── InvalidRequestError    the request is wrong: change it
├── AuthError              the key is missing, unknown, or lacks the scope
├── NotFoundError          the product is not a live product
├── RateLimitedError       too many requests: try again after `retry_after` seconds
├── UnavailableError       the service or its index does not answer: try again later
└── ServerError            the service failed, or another program answered
"""

from __future__ import annotations


class ServiceError(Exception):
    """The base class of all errors of this package.

    `status` is the HTTP status, None if nothing answered. `type` is the error type that the service sent, and `field`
    the field at fault. `retry_after` is in seconds, None if the service did not say.
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
    """The request is not valid."""


class AuthError(ServiceError):
    """The key is missing, unknown, or lacks the scope."""


class NotFoundError(ServiceError):
    """The product does not exist, or this key may not see it."""


class RateLimitedError(ServiceError):
    """The service is busy, or the key exceeds its rate."""


class UnavailableError(ServiceError):
    """The service, or a service that it needs, does not answer."""


class ServerError(ServiceError):
    """The service failed, or the answer is not from liveshelf."""


def error_of(status: int, body: object, retry_after: str | None) -> ServiceError:
    """The error for a response with this status, JSON body and Retry-After header."""
    problem = body.get("error") if isinstance(body, dict) else None
    if not isinstance(problem, dict) or not isinstance(problem.get("message"), str):
        problem = {
            "message": f"the service answered {status} without a message: check that liveshelf answers at this URL"
        }
    kind = _KINDS.get(status) or (InvalidRequestError if 400 <= status < 500 else ServerError)
    if problem.get("type") == "not_found":  # also for a product that a query names
        kind = NotFoundError
    wait = _seconds(retry_after)
    return kind(
        problem["message"], status=status, type=problem.get("type"), field=problem.get("field"), retry_after=wait
    )


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
    """The seconds of a Retry-After header; None for a date, which liveshelf does not send."""
    return float(header) if header is not None and header.strip().isdecimal() else None
