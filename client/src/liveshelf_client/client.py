"""The clients. Both are the same calls; one waits for the answer, the other is awaited."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from liveshelf_client import requests as calls
from liveshelf_client.errors import ServerError, ServiceError, UnavailableError, error_of
from liveshelf_client.options import CandidateOptions, Image, Part, SearchOptions, SimilarOptions
from liveshelf_client.requests import ApiRequest
from liveshelf_client.results import Candidates, Encoding, Product, SearchResult
from liveshelf_client.retry import RetryPolicy

T = TypeVar("T")

URL = "http://127.0.0.1:8000"


class Client:
    """A search service, asked from threads.

    `url` is its address, `api_key` the key it asks for, `timeout_s` the time for one answer, `retries` how patient to
    be with a service that is busy or away; `transport` is httpx's, for proxies and certificates. Every method raises
    ServiceError. Close it, or use it in a `with`.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retries: RetryPolicy = RetryPolicy(),
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._retries = retries
        self._url = url
        self._sleep = sleep
        self._http = httpx.Client(base_url=url, headers=_headers(api_key), timeout=timeout_s, transport=transport)

    def search(
        self,
        text: str | None = None,
        *,
        image: Image | None = None,
        mix: Sequence[Part] | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResult:
        """The live products that answer best: by words, by a photo, by both, or by a mix."""
        return self._answer(calls.search((text, image, mix), options))

    def candidates(
        self,
        text: str | None = None,
        *,
        image: Image | None = None,
        mix: Sequence[Part] | None = None,
        **options: Unpack[CandidateOptions],
    ) -> Candidates:
        """Up to 10,000 live products in brief: ids, scores, versions and the `fields` asked for."""
        return self._answer(calls.candidates((text, image, mix), options))

    def similar(self, product_id: str, *, tenant: str | None = None, **options: Unpack[SimilarOptions]) -> SearchResult:
        """The live products most like one that is there. Raises NotFound."""
        return self._answer(calls.similar(product_id, tenant, options))

    def product(self, product_id: str, *, tenant: str | None = None) -> Product:
        """What the index knows of a live product now. Raises NotFound."""
        return self._answer(calls.product(product_id, tenant))

    def encode(
        self,
        text: str | None = None,
        *,
        image: Image | None = None,
        mix: Sequence[Part] | None = None,
        using: str = "fused",
    ) -> Encoding:
        """The vector of a query, to be searched with elsewhere."""
        return self._answer(calls.encode((text, image, mix), using))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, call: ApiRequest[T]) -> T:
        for tried in count(1):
            try:
                try:
                    response = self._http.request(call.method, call.path, json=call.body, params=call.params)
                except httpx.HTTPError as error:
                    raise _silent(self._url, error) from error
                return _read(call, response)
            except ServiceError as problem:
                wait = self._retries.wait(problem, tried, random.random())  # noqa: S311
                if wait is None:
                    raise
            self._sleep(wait)
        raise AssertionError  # the count has no end


class AsyncClient:
    """A search service, asked from an event loop.

    `url` is its address, `api_key` the key it asks for, `timeout_s` the time for one answer, `retries` how patient to
    be with a service that is busy or away; `transport` is httpx's, for proxies and certificates. Every method raises
    ServiceError. Close it, or use it in an `async with`.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 30.0,
        retries: RetryPolicy = RetryPolicy(),
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._retries = retries
        self._url = url
        self._sleep = sleep
        self._http = httpx.AsyncClient(base_url=url, headers=_headers(api_key), timeout=timeout_s, transport=transport)

    async def search(
        self,
        text: str | None = None,
        *,
        image: Image | None = None,
        mix: Sequence[Part] | None = None,
        **options: Unpack[SearchOptions],
    ) -> SearchResult:
        """The live products that answer best: by words, by a photo, by both, or by a mix."""
        return await self._answer(calls.search((text, image, mix), options))

    async def candidates(
        self,
        text: str | None = None,
        *,
        image: Image | None = None,
        mix: Sequence[Part] | None = None,
        **options: Unpack[CandidateOptions],
    ) -> Candidates:
        """Up to 10,000 live products in brief: ids, scores, versions and the `fields` asked for."""
        return await self._answer(calls.candidates((text, image, mix), options))

    async def similar(
        self, product_id: str, *, tenant: str | None = None, **options: Unpack[SimilarOptions]
    ) -> SearchResult:
        """The live products most like one that is there. Raises NotFound."""
        return await self._answer(calls.similar(product_id, tenant, options))

    async def product(self, product_id: str, *, tenant: str | None = None) -> Product:
        """What the index knows of a live product now. Raises NotFound."""
        return await self._answer(calls.product(product_id, tenant))

    async def encode(
        self,
        text: str | None = None,
        *,
        image: Image | None = None,
        mix: Sequence[Part] | None = None,
        using: str = "fused",
    ) -> Encoding:
        """The vector of a query, to be searched with elsewhere."""
        return await self._answer(calls.encode((text, image, mix), using))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _answer(self, call: ApiRequest[T]) -> T:
        for tried in count(1):
            try:
                try:
                    response = await self._http.request(call.method, call.path, json=call.body, params=call.params)
                except httpx.HTTPError as error:
                    raise _silent(self._url, error) from error
                return _read(call, response)
            except ServiceError as problem:
                wait = self._retries.wait(problem, tried, random.random())  # noqa: S311
                if wait is None:
                    raise
            await self._sleep(wait)
        raise AssertionError  # the count has no end


def _headers(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"authorization": f"Bearer {api_key}"}


def _silent(url: str, error: httpx.HTTPError) -> UnavailableError:
    return UnavailableError(f"no search service answers at {url} ({error or type(error).__name__})")


def _read(call: ApiRequest[T], response: httpx.Response) -> T:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not response.is_success:
        raise error_of(response.status_code, body, response.headers.get("retry-after"))
    try:
        return call.read(body)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ServerError(
            f"what {response.url} answered is not liveshelf's: is it liveshelf that answers there, and as new as this?",
            status=response.status_code,
        ) from error
