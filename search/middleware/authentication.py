"""Checks the host, origin, API key, scope and rate of a request."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from search.auth.api_key import Grant
from search.auth.caller import Caller, KeyScope
from search.auth.key_file import KeyFile, utc_now
from search.auth.rate_limit import RateLimiter
from search.errors import ApiError
from search.policy import SearchPolicy

COOKIE = "liveshelf_key"
# Paths that need no key: the pages and their files, the description of the API, and the probes.
OPEN = frozenset({"/", "/docs", "/openapi.json", "/livez", "/readyz", "/v1/status", "/favicon.ico"})
OPEN_BELOW = "/static/"
# Orchestrators send probes to an address, without the host name; the answers do not reveal anything about products.
PROBES = frozenset({"/livez", "/readyz"})
NO_KEY = "a key is needed: send it as `Authorization: Bearer KEY` or `X-Api-Key: KEY`"
UNKNOWN = "this key is not known, was revoked or has expired: ask the operator of this service for a new one"
ANONYMOUS = Caller(name="a stranger", scopes=frozenset())


def is_open(path: str) -> bool:
    """Whether a path needs no key. Every path that is not listed needs one."""
    return path in OPEN or path.startswith(OPEN_BELOW)


class AuthMiddleware:
    """An ASGI layer that sets `request.state.caller`, or answers 401, 403, 421 or 429.

    Without keys every caller may do everything.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        policy: SearchPolicy,
        keys: KeyFile | None = None,
        rate_limiter: RateLimiter | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._app = app
        self._policy = policy
        self._keys = keys
        self._rate_limiter = rate_limiter or RateLimiter()
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                scope.setdefault("state", {})["caller"] = self._caller(
                    scope["path"], scope["method"], Headers(scope=scope)
                )
            except ApiError as error:
                await error.response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _caller(self, path: str, method: str, headers: Headers) -> Caller:
        if path not in PROBES:
            self._check_host(headers)
        self._check_site(method, headers)
        if self._keys is None:
            return Caller()
        key = key_in(headers)
        grant = self._keys.find(key) if key else None
        if grant is not None and grant.expired(self._now()):
            grant = None
        if is_open(path):
            return grant.caller if grant else ANONYMOUS
        if grant is None:
            raise ApiError(401, "key", UNKNOWN if key else NO_KEY, headers={"www-authenticate": "Bearer"})
        if KeyScope.READ not in grant.scopes:
            held_scopes = ", ".join(sorted(grant.scopes))
            raise ApiError(403, "scope", f"this key may {held_scopes}, not read: use one with the scope read")
        self._check_rate(grant)
        return grant.caller

    def _check_host(self, headers: Headers) -> None:
        """Protects a service on the loopback address against DNS rebinding by pages of other sites."""
        allowed = self._policy.hosts
        if allowed and host_of(headers.get("host", "")) not in allowed:
            raise ApiError(
                421, "host", "this service does not answer to that host name: name it in LIVESHELF_ALLOWED_HOSTS"
            )

    def _check_site(self, method: str, headers: Headers) -> None:
        """Refuses forms that a page of another site sends without a CORS preflight; browsers mark these requests."""
        if method in ("GET", "HEAD", "OPTIONS") or headers.get("sec-fetch-site") != "cross-site":
            return
        if headers.get("origin") not in self._policy.origins:
            raise ApiError(
                403, "origin", "pages of that site may not call this service: name it in LIVESHELF_CORS_ORIGINS"
            )

    def _check_rate(self, grant: Grant) -> None:
        if grant.rate and (wait := self._rate_limiter.wait(grant.id, grant.rate)):
            message = f"this key may send {grant.rate:g} requests per second: try again in a moment"
            raise ApiError(429, "rate", message, headers={"retry-after": str(math.ceil(wait))})


def host_of(header: str) -> str:
    """The host name in a Host header, in lower case, without its port."""
    name = header.strip().lower()
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0].rstrip(".")


def key_in(headers: Headers) -> str:
    """The key of a request; empty if it has none."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    if key := headers.get("x-api-key", ""):
        return key.strip()
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie else ""
