"""Keys: what the file holds, who is let in and what they may do."""

from __future__ import annotations

import json
import os
import re
import stat
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import Request

from catalog.domain.product import ProductKey
from catalog.errors import InvalidInput
from search import KeyFile
from search.auth.api_key import digest, find_grant, new_key, read_grants, write_grants
from search.auth.caller import Caller, caller_of
from search.auth.key_file import CHECK_INTERVAL_S
from search.auth.rate_limit import RateLimiter
from tests.search.keys import grant
from tests.search.shop import Shop, product, stocked

ASK = {"text": "mug"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def locked(file: Path) -> Shop:
    shop = stocked()
    shop.keys = KeyFile(file)
    return shop


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_the_file_does_not_hold_the_key_and_is_for_its_owner_alone(file: Path) -> None:
    key = grant(file, "shop")
    assert re.fullmatch(r"ls_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", key)
    assert key[12:] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == ["keys.json"]


def test_a_key_is_found_by_its_id_and_known_by_all_of_it(file: Path) -> None:
    key, other = grant(file, "one"), grant(file, "two")
    grants = {grant.id: grant for grant in read_grants(file)}
    assert find_grant(grants, key).name == "one"  # type: ignore[union-attr]
    assert find_grant(grants, other).name == "two"  # type: ignore[union-attr]
    wrong = [
        key[:-1],
        key + "x",
        key[:12] + other[12:],
        key[3:],
        key.upper(),
        "",
        "ls_",
        "ls__",
        new_key()[0],
        "\udc80",
    ]
    assert [find_grant(grants, candidate) for candidate in wrong] == [None] * len(wrong)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a file of keys"),
        ('{"keys": [{"id": "x"}]}', "keys.0.id"),
        ('{"other": 1}', "other"),
        ("[]", "is not a file of keys"),
    ],
)
def test_a_file_that_is_none_is_a_sentence(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        KeyFile(file)


def test_no_file_a_folder_and_an_empty_one_are_sentences(file: Path) -> None:
    with pytest.raises(InvalidInput, match="liveshelf keys add"):
        KeyFile(file)
    with pytest.raises(InvalidInput, match="cannot be read"):
        KeyFile(file.parent)
    with pytest.raises(InvalidInput, match="cannot be written to"):
        write_grants(file / "below", ())


@pytest.mark.parametrize("carry", [bearer, lambda k: {"x-api-key": k}, lambda k: {"cookie": f"a=b; liveshelf_key={k}"}])
async def test_a_key_is_taken_from_a_header_or_a_cookie(file: Path, carry: object) -> None:
    key = grant(file)
    async with locked(file).client() as client:
        assert (await client.post("/v1/search", json=ASK, headers=carry(key))).status_code == 200  # type: ignore[operator]
        assert (await client.post("/v1/search", json=ASK, headers=carry(key[:-1]))).status_code == 401  # type: ignore[operator]


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "a key is needed: send it as `Authorization: Bearer KEY`"),
        ({"authorization": "Basic dTpw"}, "a key is needed"),
        ({"authorization": "Bearer"}, "a key is needed"),
        ({"authorization": "Bearer nonsense"}, "not known"),
        ({"x-api-key": "ls_00000000_" + "A" * 43}, "not known"),
        ({"cookie": "liveshelf_key=; ;;=\x01"}, "a key is needed"),
    ],
)
@pytest.mark.parametrize(
    "path", ["/v1/products/mug", "/v1/products/lamp/photo", "/nowhere", "/v1/products/stream", "/v1/search"]
)
async def test_without_a_key_that_is_known_nothing_is_told(
    file: Path, headers: dict[str, str], message: str, path: str
) -> None:
    grant(file)
    async with locked(file).client() as client:
        response = await client.get(path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["error"]["type"] == "key"
    assert message in response.json()["error"]["message"]
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_the_pages_need_no_key_and_health_then_counts_nothing(file: Path) -> None:
    key, narrow = grant(file), grant(file, "narrow", tenant="other")
    async with locked(file).client() as client:
        for path in ("/", "/docs", "/openapi.json"):
            assert (await client.get(path, headers=bearer("stale"))).status_code == 200
        assert (await client.get("/v1/status")).json()["products"] is None
        assert (await client.get("/v1/status", headers=bearer(key))).json()["products"] == 4
        status = await client.get("/v1/status", headers=bearer(narrow))
        assert status.json()["products"] is None, "how many other tenants have is not for it to know"


async def test_a_key_that_may_not_read_is_403(file: Path) -> None:
    key = grant(file, scopes=("write", "admin"))
    async with locked(file).client() as client:
        response = await client.post("/v1/search", json=ASK, headers=bearer(key))
    assert response.status_code == 403
    assert response.json()["error"] == {
        "type": "scope",
        "message": "this key may admin, write, not read: use one with the scope read",
    }


async def test_a_key_that_has_ended_is_401(file: Path) -> None:
    over, good = grant(file, "a", expires=timedelta(seconds=-1)), grant(file, "b", expires=timedelta(days=1))
    async with locked(file).client() as client:
        assert (await client.post("/v1/search", json=ASK, headers=bearer(over))).status_code == 401
        assert (await client.post("/v1/search", json=ASK, headers=bearer(good))).status_code == 200


async def test_a_key_asks_as_often_as_agreed_and_its_neighbour_does_not_pay(file: Path) -> None:
    busy, calm = grant(file, "busy", rate=2), grant(file, "calm")
    async with locked(file).client() as client:
        answers = [await client.post("/v1/search", json=ASK, headers=bearer(busy)) for _ in range(4)]
        assert (await client.post("/v1/search", json=ASK, headers=bearer(calm))).status_code == 200
    refused = answers[-1]
    assert answers[0].status_code == 200
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"] == {
        "type": "rate",
        "message": "this key may send 2 requests per second: try again in a moment",
    }


def test_a_bucket_fills_at_its_rate_and_holds_a_second() -> None:
    now = 100.0
    rates = RateLimiter(clock=lambda: now)
    assert [rates.wait("a", 2) for _ in range(3)] == [0, 0, 0.5]
    now += 0.5
    assert [rates.wait("a", 2) for _ in range(2)] == [0, 0.5]
    assert rates.wait("b", 2) == 0
    now += 1000
    assert [rates.wait("a", 2) for _ in range(3)] == [0, 0, 0.5]
    assert [rates.wait("slow", 0.1) for _ in range(2)] == [0, 10]


async def test_a_revoked_key_ends_within_a_second_and_a_new_one_begins(file: Path) -> None:
    now = 0.0
    key, other = grant(file, "one"), grant(file, "two")
    key_file = KeyFile(file, clock=lambda: now)
    write_grants(file, [entry for entry in read_grants(file) if entry.name != "one"])
    third = grant(file, "three")
    assert key_file.find(key) is not None
    now += CHECK_INTERVAL_S
    assert [key_file.find(candidate) is not None for candidate in (key, other, third)] == [False, True, True]


def test_a_file_that_was_broken_leaves_the_keys_as_they_were_and_says_so(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    key = grant(file)
    key_file = KeyFile(file, clock=lambda: now)
    file.write_text("{")
    now += 5
    assert key_file.find(key) is not None
    assert "the file of keys was not reloaded" in caplog.text
    file.unlink()
    now += 5
    assert key_file.find(key) is None, "a file that is gone holds no key"


def test_what_the_file_says_of_a_key_is_kept(file: Path) -> None:
    grant(file, "all", scopes=("read", "admin"), rate=2.5, expires=timedelta(days=1))
    before = read_grants(file)
    write_grants(file, before)
    assert read_grants(file) == before
    assert json.loads(file.read_text())["keys"][0]["digest"] == before[0].digest
    assert digest("x") != before[0].digest


async def test_a_key_is_never_in_the_log(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    key = grant(file)
    shop = locked(file)
    shop.encoder.failure = RuntimeError("boom")
    async with shop.client() as client:
        await client.post("/v1/search", json=ASK, headers=bearer(key))
    assert key[12:] not in caplog.text


async def test_the_tenant_of_a_key_reaches_the_handlers(file: Path) -> None:
    key = grant(file, tenant="other")
    shop = locked(file)
    shop.shelf.products[ProductKey("other", "x")] = product("x")
    app = shop.app()
    seen: list[Caller] = []

    @app.get("/who")
    async def who(request: Request) -> None:
        seen.append(await caller_of(request))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.test") as client:
        await client.get("/who", headers=bearer(key))
    [caller] = seen
    assert caller.tenant == "other"
    assert caller.conditions[0].values == ("other",)
