"""GET /v1/products/stream: what those who listen are told, and what happens when nobody does."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalog.domain.filters import AnyOf
from catalog.domain.product import ProductKey
from catalog.errors import FatalError, Unavailable
from search import ProductStream, ProductStreamPolicy, serve
from search.routes.product_stream import KEEP_ALIVE
from tests.integration.shop import wait_for
from tests.search.shop import QUICK, Shop, Window, product

NOW_MS = 1_000_000


def arrive(shelf: Window, id: str, at: int, tenant: str = "default", **fields: object) -> None:
    shelf.products[ProductKey(tenant, id)] = product(id, event_time=at, **fields)


def live_of(shelf: Window, policy: ProductStreamPolicy = QUICK) -> ProductStream:
    return ProductStream(shelf, policy, clock=lambda: NOW_MS / 1000)


def parsed(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


async def received(events: AsyncIterator[str], count: int) -> list[str]:
    """The ids of the next so many products, in order."""
    ids: list[str] = []
    async with asyncio.timeout(5):
        while len(ids) < count:
            ids += [each["id"] for each in parsed(await anext(events))]
    return ids


async def silent(events: AsyncIterator[str]) -> bool:
    """Whether nothing but signs of life comes for a while."""
    return [await anext(events) for _ in range(2)] == [KEEP_ALIVE] * 2


async def test_who_listens_is_told_of_what_comes_and_how_old_it_is() -> None:
    shelf = Window()
    arrive(shelf, "before", NOW_MS - 5000)
    async with aclosing(live_of(shelf).events((), None)) as events:
        assert await anext(events) == KEEP_ALIVE
        await asyncio.sleep(0.1)
        arrive(shelf, "new", NOW_MS - 250)
        async with asyncio.timeout(5):
            while not (products := parsed(await anext(events))):
                pass
    [body] = products
    assert (body["id"], body["title"], body["age_s"], body["event_time"]) == ("new", "new", 0.25, NOW_MS - 250)
    assert not {"clock", "revision", "fingerprint"} & set(body)


async def test_it_begins_after_a_moment_that_is_named_with_the_oldest_first() -> None:
    shelf = Window()
    for n in range(6):
        arrive(shelf, str(n), NOW_MS + n)
    async with aclosing(live_of(shelf).events((), NOW_MS + 2)) as events:
        assert await received(events, 3) == ["3", "4", "5"]


async def test_a_change_is_told_again_and_what_stays_is_not() -> None:
    shelf = Window()
    arrive(shelf, "a", 10)
    arrive(shelf, "b", 11)
    async with aclosing(live_of(shelf).events((), 0)) as events:
        assert await received(events, 2) == ["a", "b"]
        arrive(shelf, "a", 12, offer_version=12)
        assert await received(events, 1) == ["a"]
        assert await silent(events)


async def test_what_comes_back_into_view_because_another_was_deleted_is_no_news() -> None:
    shelf = Window()
    for n in range(12):
        arrive(shelf, str(n), 100 + n)
    async with aclosing(live_of(shelf).events((), 0)) as events:
        assert await received(events, 8) == [str(n) for n in range(4, 12)]
        del shelf.products[ProductKey("default", "11")]
        assert await silent(events)


async def test_everyone_is_told_of_their_own_tenant_alone() -> None:
    shelf = Window()
    live = live_of(shelf)
    own, all_of_them = live.events((AnyOf("tenant", ("a",)),), 0), live.events((), 0)
    async with aclosing(own), aclosing(all_of_them):
        arrive(shelf, "mine", 10, "a")
        arrive(shelf, "theirs", 11, "b")
        assert await received(all_of_them, 2) == ["mine", "theirs"]
        assert await received(own, 1) == ["mine"]
        assert await silent(own)


async def test_one_poller_serves_all_and_rests_when_nobody_listens() -> None:
    shelf = Window()
    live = live_of(shelf)
    streams = [live.events((), 0) for _ in range(3)]
    arrive(shelf, "a", 10)
    for events in streams:
        assert await received(events, 1) == ["a"]
    polls_before = shelf.polls
    await asyncio.sleep(0.2)
    assert 2 <= shelf.polls - polls_before <= 11  # one look every 20 ms, however many listen
    for events in streams:
        await events.aclose()
    await asyncio.sleep(0.05)
    rested = shelf.polls
    await asyncio.sleep(0.1)
    assert shelf.polls == rested


async def test_a_slow_listener_gets_the_newest_and_holds_nobody_up() -> None:
    shelf = Window()
    live = live_of(shelf)
    slow, quick = live.events((), 0), live.events((), 0)
    async with aclosing(slow), aclosing(quick):
        await anext(slow)
        for n in range(20):
            arrive(shelf, str(n), 10 + n)
            assert await received(quick, 1) == [str(n)]
        assert await received(slow, 8) == [str(n) for n in range(12, 20)]


async def test_an_index_that_is_away_for_a_while_costs_nobody_the_stream() -> None:
    shelf = Window()
    async with aclosing(live_of(shelf).events((), 0)) as events:
        shelf.failure = Unavailable("the index does not answer")
        assert await silent(events)
        arrive(shelf, "a", 10)
        shelf.failure = None
        assert await received(events, 1) == ["a"]


async def test_an_index_that_refuses_for_good_ends_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Window(failure=FatalError("there is no such collection"))
    async with asyncio.timeout(5), aclosing(live_of(shelf).events((), 0)) as events:
        assert {each async for each in events} == {KEEP_ALIVE}
    assert "there is no such collection" in caplog.text


async def test_a_stop_ends_every_stream() -> None:
    live = live_of(Window())
    events = live.events((), None)
    await anext(events)
    live.close()
    async with asyncio.timeout(5):
        assert [each async for each in events] == []


async def test_over_http_one_too_many_is_told_so_and_a_stop_does_not_wait_for_those_who_listen(tmp_path: Path) -> None:
    shop = Shop()
    arrive(shop.shelf, "a", 10)
    live, ready = ProductStream(shop.shelf, QUICK), tmp_path / "ready.json"
    async with asyncio.timeout(20), AsyncExitStack() as stack:
        served = asyncio.create_task(serve(shop.app(live), "127.0.0.1", 0, ready, on_stop=live.close))
        await asyncio.to_thread(wait_for, ready.exists, 10)
        port = json.loads(ready.read_text())["port"]
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}"))
        streams = [
            await stack.enter_async_context(client.stream("GET", "/v1/products/stream?since=0")) for _ in range(4)
        ]
        assert streams[0].headers["content-type"].startswith("text/event-stream")
        lines = streams[0].aiter_lines()
        while (line := await anext(lines)) != "event: product":
            pass
        assert json.loads((await anext(lines)).removeprefix("data: "))["id"] == "a", line
        refused = await client.get("/v1/products/stream")
        assert (refused.status_code, refused.json()["error"]["type"]) == (503, "unavailable")
        await streams[1].aclose()
        while True:
            async with client.stream("GET", "/v1/products/stream") as response:
                if response.status_code == 200:
                    break
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            await served


@pytest.mark.parametrize("since", ["-1", "x", "9223372036854775808", ""])
async def test_a_moment_that_is_none_is_refused(since: str) -> None:
    async with Shop().client() as client:
        response = await client.get("/v1/products/stream", params={"since": since})
    assert response.status_code == 422
    assert "since" in response.json()["error"]["message"]
