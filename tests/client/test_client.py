"""liveshelf_client.Client and liveshelf_client.AsyncClient against the real application."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import httpx
import liveshelf_client
import pytest
from liveshelf_client import (
    AuthError,
    InvalidRequestError,
    NotFoundError,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    ServiceError,
    UnavailableError,
)

from tests.search.shop import SPACE, photo, stocked

Answer = Callable[[httpx.Request], httpx.Response]


def asynchronous() -> liveshelf_client.AsyncClient:
    return liveshelf_client.AsyncClient("http://shop.test", transport=httpx.ASGITransport(stocked().app()))


DEFAULT = RetryPolicy()


def answering(
    *answers: httpx.Response, retry_policy: RetryPolicy = DEFAULT
) -> tuple[liveshelf_client.Client, list[float]]:
    """A client of a service that gives these answers in turn, and the waits between."""
    responses, waits = list(answers), []
    transport = httpx.MockTransport(lambda _: responses.pop(0))
    return liveshelf_client.Client(
        "http://shop.test", transport=transport, retry_policy=retry_policy, sleep=waits.append
    ), waits


def refusal(status: int, message: str = "a sentence", **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"type": "t", "message": message, "field": "f"}}, headers=headers)


FOUND = {"hits": [], "space": "s", "took_ms": {"encode": 1, "search": 2}}


async def test_a_search_is_hits_with_types() -> None:
    async with asynchronous() as client:
        result = await client.search("sea green mug", limit=2, filter={"available": True})
    hit = result.hits[0]
    assert (hit.id, hit.tenant, hit.price, hit.attributes) == ("mug", "default", 12.5, {"brand": "Arbour"})
    assert (hit.images, hit.content_version, hit.offer_version) == (("https://images.example/mug.jpg",), 7, 9)
    assert hit.score == pytest.approx(1, abs=1e-3)
    assert [h.id for h in result] == [h.id for h in result.hits]
    assert (len(result), result.space, result.degraded) == (2, SPACE.id, ())
    assert result.took_ms.total >= result.took_ms.search
    with pytest.raises(FrozenInstanceError):
        hit.price = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["bytes", "file", "url"])
async def test_a_photo_is_bytes_a_file_or_a_url(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(photo())
    shop = stocked()
    shop.images.photos["https://images.example/1.png"] = photo()
    image = {"bytes": photo(), "file": file, "url": "https://images.example/1.png"}[kind]
    async with liveshelf_client.AsyncClient("http://shop.test", transport=httpx.ASGITransport(shop.app())) as client:
        await client.search("mug", image=image)
    assert shop.encoder.calls == [("mug", photo())]


async def test_candidates_are_columns() -> None:
    async with asynchronous() as client:
        candidates = await client.candidates("sea green mug", fields=["price"])
        of_one_tenant = await client.candidates("sea green mug", filter={"tenant": "default"})
    assert len(candidates) == 4
    assert dict(zip(zip(candidates.tenants, candidates.ids, strict=True), candidates.fields["price"], strict=True)) == {
        ("default", "mug"): 12.5,
        ("default", "lamp"): 80.0,
        ("default", "mug/blue"): 12.5,
        ("other", "mug"): None,
    }
    assert (candidates.partial, candidates.space) == (False, SPACE.id)
    assert list(of_one_tenant.tenants) == ["default"] * 3
    assert list(of_one_tenant.content_versions) == [7, 7, 7]


async def test_a_product_by_its_id_whatever_letters_it_has() -> None:
    async with asynchronous() as client:
        assert (await client.product("mug/blue")).title == "blue mug"
        assert (await client.product("mug", tenant="other")).title == "another shop's mug"
        with pytest.raises(NotFoundError, match="gone") as raised:
            await client.product("gone")
    assert (raised.value.status, raised.value.type) == (404, "not_found")


async def test_what_the_service_refuses_is_its_own_sentence() -> None:
    async with asynchronous() as client:
        with pytest.raises(InvalidRequestError, match=r"limit: 0 is not between") as raised:
            await client.search("mug", limit=0)
        assert isinstance(raised.value, ServiceError)
        with pytest.raises(InvalidRequestError, match="unknown") as raised:
            await client.search("mug", colour="red")  # type: ignore[call-arg]
    assert raised.value.field == "colour"


def test_the_client_for_threads_asks_the_same() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=FOUND)

    with liveshelf_client.Client(
        "http://shop.test/below/", api_key="k", transport=httpx.MockTransport(answer)
    ) as client:
        client.search("mug", mode="hybrid", facets=["brand"])
        client.similar("a/b?", tenant="t", limit=3, filter={"price": {"lt": 5}}, facets=["brand", "color"])
    search, similar = sent
    assert search.headers["authorization"] == "Bearer k"
    assert (search.method, str(search.url)) == ("POST", "http://shop.test/below/v1/search")
    assert json.loads(search.content) == {"text": "mug", "mode": "hybrid", "facets": ["brand"]}
    assert similar.url.raw_path.startswith(b"/below/v1/products/a%2Fb%3F/similar?")
    assert similar.url.params.multi_items() == [
        ("limit", "3"),
        ("filter", '{"price": {"lt": 5}}'),
        ("facets", "brand"),
        ("facets", "color"),
        ("tenant", "t"),
    ]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthError),
        (403, AuthError),
        (404, NotFoundError),
        (406, InvalidRequestError),
        (422, InvalidRequestError),
        (429, RateLimitedError),
        (500, ServerError),
        (503, UnavailableError),
    ],
)
def test_errors_are_told_apart_by_what_to_do(status: int, kind: type[ServiceError]) -> None:
    client, _ = answering(refusal(status), retry_policy=RetryPolicy(tries=1))
    with client, pytest.raises(kind, match="a sentence") as raised:
        client.search("mug")
    assert type(raised.value) is kind
    assert (raised.value.status, raised.value.type, raised.value.field) == (status, "t", "f")


def test_busy_and_away_are_tried_again_when_the_service_says() -> None:
    client, waits = answering(
        refusal(429, **{"retry-after": "2"}), refusal(503, **{"retry-after": "0"}), httpx.Response(200, json=FOUND)
    )
    with client:
        assert client.search("mug").space == "s"
    assert waits == [2.0, 0.0]


def test_without_a_word_waits_grow_and_end() -> None:
    client, waits = answering(*[refusal(503)] * 4, retry_policy=RetryPolicy(tries=4, first_s=1))
    with client, pytest.raises(UnavailableError):
        client.search("mug")
    assert len(waits) == 3
    assert all(0.5 * 2**n <= wait <= 2**n for n, wait in enumerate(waits))


def test_a_wait_that_is_too_long_is_the_callers_to_make() -> None:
    client, waits = answering(refusal(429, **{"retry-after": "60"}))
    with client, pytest.raises(RateLimitedError) as raised:
        client.search("mug")
    assert (waits, raised.value.retry_after) == ([], 60.0)


@pytest.mark.parametrize("status", [400, 404, 422, 500])
def test_other_errors_are_not_tried_again(status: int) -> None:
    client, waits = answering(refusal(status))
    with client, pytest.raises(ServiceError):
        client.search("mug")
    assert waits == []


async def test_the_asynchronous_client_tries_again_too() -> None:
    waits: list[float] = []
    responses = [refusal(429, **{"retry-after": "1"}), httpx.Response(200, json=FOUND)]

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    transport = httpx.MockTransport(lambda _: responses.pop(0))
    async with liveshelf_client.AsyncClient("http://shop.test", transport=transport, sleep=sleep) as client:
        await client.search("mug")
    assert waits == [1.0]


def test_nobody_there_is_away() -> None:
    with liveshelf_client.Client("http://127.0.0.1:1", retry_policy=RetryPolicy(tries=1)) as client:  # noqa: SIM117
        with pytest.raises(UnavailableError, match=r"no search service answers at http://127\.0\.0\.1:1"):
            client.product("mug")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"hits": "many"}),
        httpx.Response(200, json=[1]),
        httpx.Response(500, text="oops"),
        httpx.Response(301, headers={"location": "/elsewhere"}),
    ],
)
def test_an_answer_that_is_not_liveshelfs_is_said_to_be_none(answer: httpx.Response) -> None:
    client, _ = answering(answer)
    with client, pytest.raises(ServerError, match="check that liveshelf answers"):
        client.search("mug")


def test_what_a_newer_service_says_besides_is_left_out() -> None:
    hit = {
        "id": "a",
        "tenant": "t",
        "title": "A",
        "score": 0.5,
        "new": 1,
        "variants": [{"id": "b", "tenant": "t", "title": "B"}],
    }
    client, _ = answering(httpx.Response(200, json={**FOUND, "hits": [hit], "new": 2}))
    with client:
        [hit] = client.search("mug")
    assert (hit.id, hit.score, hit.variants[0].id) == ("a", 0.5, "b")


def test_the_client_is_light() -> None:
    heavy = (
        "catalog",
        "liveshelf",
        "search",
        "torch",
        "faust",
        "pydantic",
        "pydantic_settings",
        "qdrant_client",
        "numpy",
        "fastapi",
        "pyarrow",
    )
    code = f"import sys, liveshelf_client; liveshelf_client.Client; print([m for m in {heavy} if m in sys.modules])"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"
