"""The blocking and the asynchronous client; both have the same methods."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from liveshelf_client import requests as api_requests
from liveshelf_client.errors import InvalidRequestError, ServerError, ServiceError, UnavailableError, error_of
from liveshelf_client.options import CandidateOptions, Image, Part, SearchOptions, SimilarOptions
from liveshelf_client.requests import ApiRequest
from liveshelf_client.results import Candidates, Encoding, Product, SearchResult
from liveshelf_client.retry import RetryPolicy

T = TypeVar("T")

URL = "http://127.0.0.1:8000"


class Client:
    """A blocking client of a search service; safe to use from several threads.

    `url` is the base URL of the service. `timeout_s` is httpx's timeout of one try, in seconds. `retry_policy` decides
    when a request is sent again. `transport` is an httpx transport, for proxies and certificates. `sleep` waits for
    seconds between tries. Every method raises ServiceError or one of its subclasses. Close it, or use it in a `with`.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retry_policy: RetryPolicy = RetryPolicy(),
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._retry_policy = retry_policy
        self._url = _checked(url)
        self._sleep = sleep
        self._http = httpx.Client(base_url=self._url, headers=_headers(api_key), timeout=timeout_s, transport=transport)

    def search(
        self,
        text: str | None = None,
        *,
        image: Image | None = None,
        mix: Sequence[Part] | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResult:
        """The live products that match best: by text, by a photo, by both, or by a weighted mix."""
        return self._send(api_requests.search((text, image, mix), options))

    def candidates(
        self,
        text: str | None = None,
        *,
        image: Image | None = None,
        mix: Sequence[Part] | None = None,
        **options: Unpack[CandidateOptions],
    ) -> Candidates:
        """Up to 10,000 live products with ids, scores, versions and the requested `fields`."""
        return self._send(api_requests.candidates((text, image, mix), options))

    def similar(self, product_id: str, *, tenant: str | None = None, **options: Unpack[SimilarOptions]) -> SearchResult:
        """The live products most similar to a product. Raises NotFoundError if that is not a live product."""
        return self._send(api_requests.similar(product_id, tenant, options))

    def product(self, product_id: str, *, tenant: str | None = None) -> Product:
        """The current state of a product. Raises NotFoundError if it is not a live product."""
        return self._send(api_requests.product(product_id, tenant))

    def encode(
        self,
        text: str | None = None,
        *,
        image: Image | None = None,
        mix: Sequence[Part] | None = None,
        using: str = "fused",
    ) -> Encoding:
        """The vector of a query, for a search in Qdrant. `using` is the named vector to compare it with."""
        return self._send(api_requests.encode((text, image, mix), using))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, api_request: ApiRequest[T]) -> T:
        for attempt in count(1):
            try:
                try:
                    response = self._http.request(
                        api_request.method, api_request.path, json=api_request.body, params=api_request.params
                    )
                except httpx.HTTPError as error:
                    raise _unreachable(self._url, error) from error
                except (TypeError, ValueError) as error:  # what JSON or UTF-8 cannot say, such as NaN or half a letter
                    raise InvalidRequestError(f"the request cannot be sent as JSON: {error}") from error
                return _read(api_request, response)
            except ServiceError as problem:
                wait = self._retry_policy.wait(problem, attempt, random.random())  # noqa: S311 -- jitter
                if wait is None:
                    raise
            self._sleep(wait)
        raise AssertionError  # unreachable: `count` never ends


class AsyncClient:
    """An asynchronous client of a search service.

    `url` is the base URL of the service. `timeout_s` is httpx's timeout of one try, in seconds. `retry_policy` decides
    when a request is sent again. `transport` is an httpx transport, for proxies and certificates. `sleep` waits for
    seconds between tries. Every method raises ServiceError or one of its subclasses. Close it, or use it in an `async
    with`.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retry_policy: RetryPolicy = RetryPolicy(),
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._retry_policy = retry_policy
        self._url = _checked(url)
        self._sleep = sleep
        self._http = httpx.AsyncClient(
            base_url=self._url, headers=_headers(api_key), timeout=timeout_s, transport=transport
        )

    async def search(
        self,
        text: str | None = None,
        *,
        image: Image | None = None,
        mix: Sequence[Part] | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResult:
        """The live products that match best: by text, by a photo, by both, or by a weighted mix."""
        return await self._send(api_requests.search((text, image, mix), options))

    async def candidates(
        self,
        text: str | None = None,
        *,
        image: Image | None = None,
        mix: Sequence[Part] | None = None,
        **options: Unpack[CandidateOptions],
    ) -> Candidates:
        """Up to 10,000 live products with ids, scores, versions and the requested `fields`."""
        return await self._send(api_requests.candidates((text, image, mix), options))

    async def similar(
        self, product_id: str, *, tenant: str | None = None, **options: Unpack[SimilarOptions]
    ) -> SearchResult:
        """The live products most similar to a product. Raises NotFoundError if that is not a live product."""
        return await self._send(api_requests.similar(product_id, tenant, options))

    async def product(self, product_id: str, *, tenant: str | None = None) -> Product:
        """The current state of a product. Raises NotFoundError if it is not a live product."""
        return await self._send(api_requests.product(product_id, tenant))

    async def encode(
        self,
        text: str | None = None,
        *,
        image: Image | None = None,
        mix: Sequence[Part] | None = None,
        using: str = "fused",
    ) -> Encoding:
        """The vector of a query, for a search in Qdrant. `using` is the named vector to compare it with."""
        return await self._send(api_requests.encode((text, image, mix), using))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, api_request: ApiRequest[T]) -> T:
        for attempt in count(1):
            try:
                try:
                    response = await self._http.request(
                        api_request.method, api_request.path, json=api_request.body, params=api_request.params
                    )
                except httpx.HTTPError as error:
                    raise _unreachable(self._url, error) from error
                except (TypeError, ValueError) as error:  # what JSON or UTF-8 cannot say, such as NaN or half a letter
                    raise InvalidRequestError(f"the request cannot be sent as JSON: {error}") from error
                return _read(api_request, response)
            except ServiceError as problem:
                wait = self._retry_policy.wait(problem, attempt, random.random())  # noqa: S311 -- jitter
                if wait is None:
                    raise
            await self._sleep(wait)
        raise AssertionError  # unreachable: `count` never ends


def _headers(api_key: str | None) -> dict[str, str]:
    headers = {"accept": "application/json"}  # anything else gets the stream of products where an id is `stream`
    if api_key is None:
        return headers
    if not (api_key.isascii() and api_key.isprintable()):
        raise InvalidRequestError(
            "the API key has characters that no key has: give it as `liveshelf keys add` prints it"
        )
    return headers | {"authorization": f"Bearer {api_key}"}


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidRequestError(
            f"{url!r} is not an address ({error}): give one like http://127.0.0.1:8000"
        ) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidRequestError(f"{url!r} does not begin with http:// or https:// and a host")
    return url


def _unreachable(url: str, error: httpx.HTTPError) -> UnavailableError:
    return UnavailableError(f"no search service answers at {url} ({error or type(error).__name__})")


def _read(api_request: ApiRequest[T], response: httpx.Response) -> T:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not response.is_success:
        raise error_of(response.status_code, body, response.headers.get("retry-after"))
    try:
        return api_request.read(body)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ServerError(
            f"the answer of {response.url} is not valid: check that liveshelf answers there, in this version",
            status=response.status_code,
        ) from error
