"""For which host, from which page: what a browser elsewhere can make a service on this machine do."""

from __future__ import annotations

import pytest

from search import SearchPolicy
from search.middleware.authentication import host_of
from tests.search.shop import stocked

ASK = {"text": "mug"}
HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "[::1]", "localhost."])
async def test_this_machines_names_are_answered(host: str) -> None:
    shop = stocked()
    shop.policy = SearchPolicy(hosts=HERE)
    async with shop.client() as client:
        assert (await client.post("/v1/search", json=ASK, headers={"host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "localhost.evil.example", "", "[::2]"])
@pytest.mark.parametrize("path", ["/", "/v1/status", "/v1/products/mug"])
async def test_a_name_that_was_made_to_mean_this_machine_is_not(host: str, path: str) -> None:
    shop = stocked()
    shop.policy = SearchPolicy(hosts=HERE)
    async with shop.client() as client:
        response = await client.get(path, headers={"host": host})
    assert response.status_code == 421
    assert "LIVESHELF_ALLOWED_HOSTS" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_probe_is_answered_whatever_host_it_names(path: str) -> None:
    shop = stocked()
    shop.policy = SearchPolicy(hosts=HERE)
    async with shop.client() as client:
        response = await client.get(path, headers={"host": "10.0.0.1:8000"})
    assert (response.status_code, response.text) == (200, "ok")


async def test_without_names_any_is_answered() -> None:
    async with stocked().client() as client:
        assert (await client.get("/v1/status", headers={"host": "any.example"})).status_code == 200


def test_the_name_in_a_host_header() -> None:
    named = {"a.example:80": "a.example", "[2001:db8::1]:80": "[2001:db8::1]", "A": "a", "": "", "[": "[]", ":80": ""}
    assert {header: host_of(header) for header in named} == named


async def test_a_form_on_another_sites_page_is_refused_and_our_own_is_not() -> None:
    form = {"text": (None, "mug")}
    async with stocked().client() as client:
        elsewhere = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
        refused = await client.post("/v1/search", files=form, headers=elsewhere)
        assert refused.status_code == 403
        assert "LIVESHELF_CORS_ORIGINS" in refused.json()["error"]["message"]
        for site in ("same-origin", "same-site", "none"):
            assert (await client.post("/v1/search", files=form, headers={"sec-fetch-site": site})).status_code == 200


async def test_pages_elsewhere_may_ask_only_where_that_is_set() -> None:
    shop, origin = stocked(), "https://shop.example"
    preflight = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-api-key",
    }
    actual = {"origin": origin, "sec-fetch-site": "cross-site"}
    async with shop.client() as client:
        assert "access-control-allow-origin" not in (await client.options("/v1/search", headers=preflight)).headers
        assert "access-control-allow-origin" not in (await client.get("/v1/status", headers=actual)).headers
    shop.policy = SearchPolicy(origins=frozenset({origin}))
    async with shop.client() as client:
        allowed = await client.options("/v1/search", headers=preflight)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin)
        answered = await client.post("/v1/search", json=ASK, headers=actual)
        assert (answered.status_code, answered.headers["access-control-allow-origin"]) == (200, origin)
        other = preflight | {"origin": "https://evil.example"}
        assert "access-control-allow-origin" not in (await client.options("/v1/search", headers=other)).headers
        assert (
            await client.post("/v1/search", json=ASK, headers=other | actual | {"origin": "null"})
        ).status_code == 403
