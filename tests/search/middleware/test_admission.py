"""A bounded number at once, each with its deadline, and nothing done for a client that is gone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from fastapi import Request
from fastapi.responses import StreamingResponse

from catalog.ports import Vector
from search import SearchPolicy
from search.middleware.concurrency import deadline_of
from tests.search.shop import Overlap, Shop, photo, stocked

ASK = {"text": "mug"}


class Watched(Overlap):
    """Notes how many queries are encoded at once, and which were cancelled."""

    now = most = cancelled = 0

    async def encode_query(self, *, text: str | None, image: bytes | None) -> Vector:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await super().encode_query(text=text, image=image)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.now -= 1


def shop_of(policy: SearchPolicy, *, delay: float = 0.0) -> tuple[Shop, Watched]:
    shop, encoder = stocked(), Watched(delay=delay)
    shop.encoder, shop.policy = encoder, policy
    return shop, encoder


async def test_so_many_at_once_and_the_others_one_after_the_other() -> None:
    shop, encoder = shop_of(SearchPolicy(max_in_flight=3, max_waiting=20, queue_timeout_s=10), delay=0.01)
    async with shop.client() as client:
        answers = await asyncio.gather(*(client.post("/v1/search", json=ASK) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert encoder.most == 3


async def test_who_waits_too_long_for_a_turn_is_told_to_come_back() -> None:
    shop, _ = shop_of(SearchPolicy(max_in_flight=1, queue_timeout_s=0.05), delay=0.5)
    async with shop.client() as client:
        first, second = await asyncio.gather(*(client.post("/v1/search", json=ASK) for _ in range(2)))
        assert (first.status_code, second.status_code) == (200, 429)
        assert second.headers["retry-after"] == "2"
        assert second.json()["error"] == {
            "type": "busy",
            "message": "the service is busy: try again in a moment",
        }
        assert (await client.post("/v1/search", json=ASK)).status_code == 200


async def test_bodies_are_held_only_up_to_a_bound() -> None:
    image = photo() + bytes(60_000)
    shop, _ = shop_of(SearchPolicy(max_body_memory=100_000, queue_timeout_s=5), delay=0.1)
    async with shop.client() as client:
        upload = {"image": ("x.png", image, "image/png")}
        answers = await asyncio.gather(*(client.post("/v1/search", files=upload) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [200, 429, 429]
        assert (await client.post("/v1/search", files=upload)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/status", "/", "/openapi.json"])
async def test_what_is_open_waits_for_no_turn(path: str) -> None:
    shop, _ = shop_of(SearchPolicy(max_in_flight=1, max_waiting=0), delay=0.2)
    async with shop.client() as client:
        busy = asyncio.create_task(client.post("/v1/search", json=ASK))
        await asyncio.sleep(0.05)
        assert (await client.get("/v1/products/mug")).status_code == 429
        assert (await client.get(path)).status_code == 200
        assert (await busy).status_code == 200


async def test_the_header_sets_a_deadline_and_the_policy_the_longest() -> None:
    shop, encoder = shop_of(SearchPolicy(answer_timeout_s=0.3), delay=60)
    async with shop.client() as client:
        photos = {"image": ("x.png", photo(), "image/png")}
        for timeout_ms in ("50", "60000"):
            answer = await client.post("/v1/search", files=photos, headers={"x-timeout-ms": timeout_ms})
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "2"
            assert re.search("within 0.05|within 0.3|in time", answer.json()["error"]["message"])
    assert encoder.cancelled == 2


@pytest.mark.parametrize("timeout_ms", ["0", "-1", "1.5", "soon", "", "9" * 30, "1e3"])
async def test_a_deadline_that_is_none_is_a_sentence(timeout_ms: str) -> None:
    async with stocked().client() as client:
        answer = await client.get("/v1/products/mug", headers={"x-timeout-ms": timeout_ms})
    assert answer.status_code == 422
    assert "x-timeout-ms" in answer.json()["error"]["message"]


Handler = Callable[[Request], Awaitable[object]]


def app_with(handler: Handler, policy: SearchPolicy) -> httpx.ASGITransport:
    shop = stocked()
    shop.policy = policy
    app = shop.app()
    app.add_api_route("/work", handler, response_model=None)
    return httpx.ASGITransport(app)


async def test_a_handler_can_shorten_its_deadline_and_see_what_is_left() -> None:
    seen: list[float] = []

    async def work(request: Request) -> None:
        deadline = deadline_of(request)
        for ms in (None, 90_000, 50, 5000):
            deadline.shorten(ms)
            seen.append(deadline.time_left)
        await asyncio.sleep(60)

    transport = app_with(work, SearchPolicy(answer_timeout_s=10))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        answer = await client.get("/work")
    assert answer.json()["error"]["message"].startswith("no answer within 0.05 s")
    assert [round(seconds) for seconds in seen] == [10, 10, 0, 0]


async def test_an_answer_that_has_begun_is_no_longer_under_the_deadline() -> None:
    async def lines() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"line\n"
            await asyncio.sleep(0.05)

    async def work(request: Request) -> StreamingResponse:
        return StreamingResponse(lines())

    transport = app_with(work, SearchPolicy(answer_timeout_s=0.1, read_timeout_s=5))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        assert (await client.get("/work")).text == "line\n" * 4


async def test_a_timeout_of_a_handlers_own_is_not_taken_for_the_deadline() -> None:
    async def work(request: Request) -> None:
        raise TimeoutError("something else")

    transport = app_with(work, SearchPolicy())
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        assert (await client.get("/work")).status_code == 500
