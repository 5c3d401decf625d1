"""POST /search: every bad query is a 4xx with one sentence that says what is wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from search import SearchPolicy
from tests.search.shop import SMALL, data_url, photo, stocked


@dataclass(frozen=True)
class Bad:
    """A request, the status it deserves and words its sentence must hold."""

    name: str
    status: int
    words: tuple[str, ...]
    send: dict[str, Any] = field(default_factory=dict)


JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=b"}


def body(name: str, status: int, words: str | tuple[str, ...], **fields: object) -> Bad:
    return Bad(name, status, (words,) if isinstance(words, str) else words, {"json": fields})


def raw(name: str, status: int, words: str, content: bytes, headers: dict[str, str] = JSON) -> Bad:
    return Bad(name, status, (words,), {"content": content, "headers": headers})


def form(name: str, status: int, words: str, files: object = None, **fields: str) -> Bad:
    parts = files if files is not None else {"image": ("x.png", photo(), "image/png")}
    return Bad(name, status, (words,), {"files": parts, "data": fields})


def part(disposition: str, content: bytes) -> bytes:
    return b"--b\r\nContent-Disposition: form-data" + disposition.encode() + b"\r\n\r\n" + content + b"\r\n--b--\r\n"


BAD = [
    body("nothing asked", 422, "empty query"),
    body("empty text", 422, "empty query", text=""),
    body("blank text", 422, "empty query", text=" \t\n"),
    body("text is a number", 422, ("text:", "5"), text=5),
    body("text is a list", 422, "text:", text=["mug"]),
    body("huge text", 422, "text:", text="x" * 1001),
    body("limit 0", 422, ("limit:", "0"), text="x", limit=0),
    body("limit -1", 422, "limit:", text="x", limit=-1),
    body("limit 10**9", 422, "limit:", text="x", limit=10**9),
    body("limit beyond 64 bits", 422, "limit:", text="x", limit=10**30),
    body("limit as text", 422, ("limit:", '"5"'), text="x", limit="5"),
    body("limit a float", 422, "limit:", text="x", limit=2.5),
    body("limit true", 422, "limit:", text="x", limit=True),
    body("limit null", 422, "limit:", text="x", limit=None),
    body("unknown field", 422, ("colour: unknown", "image_url"), text="x", colour="red"),
    body("filter is text", 422, "filter:", text="x", filter="brand"),
    body("filter is a list", 422, "filter:", text="x", filter=[1]),
    body("filter value null", 422, "'brand'", text="x", filter={"brand": None}),
    body("filter value empty list", 422, "'brand'", text="x", filter={"brand": []}),
    body("filter value nested list", 422, "'brand'", text="x", filter={"brand": [["a"]]}),
    body("filter range unknown bound", 422, "'price'", text="x", filter={"price": {"over": 5}}),
    body("filter range of text", 422, "'price'", text="x", filter={"price": {"gte": "5"}}),
    body("filter range empty", 422, "'price'", text="x", filter={"price": {}}),
    body("filter integer beyond 64 bits", 422, "'price'", text="x", filter={"price": 2**63}),
    body("filter bound beyond floats", 422, "'price'", text="x", filter={"price": {"gte": 10**400}}),
    body("filter without a name", 422, "no name", text="x", filter={"": 1}),
    body("filter with too many fields", 422, "33 fields", text="x", filter={f"a{i}": 1 for i in range(33)}),
    body("filter with too many values", 422, "256", text="x", filter={"a": list(range(257))}),
    body("image_url a number", 422, "image_url:", image_url=5),
    body("image_url empty", 422, "image_url:", image_url=""),
    body("image_url a path", 422, "image_url:", image_url="/etc/passwd"),
    body("image_url file", 422, "only http, https and data", image_url="file:///etc/passwd"),
    body("image_url FILE", 422, "only http, https and data", image_url="FILE:///etc/passwd"),
    body("image_url file after a space", 422, "only http, https and data", image_url=" file:///etc/passwd"),
    body("image_url file after a newline", 422, "only http, https and data", image_url="\nfile:///etc/passwd"),
    body("image_url s3", 422, "only http, https and data", image_url="s3://bucket/key"),
    body("image_url javascript", 422, "only http, https and data", image_url="javascript:alert(1)"),
    body("image_url not an image", 422, "not an image", image_url=data_url(b"<html>", "text/html")),
    body("image_url nothing there", 422, "no image", image_url="https://images.example/none.jpg"),
    body("image_url too large", 413, "larger", image_url="data:image/png;base64," + "A" * 500_000),
    raw("empty body", 400, "not JSON", b""),
    raw("broken JSON", 400, "not JSON", b'{"text": "mug"'),
    raw("two objects", 400, "not JSON", b'{"text": "mug"} {}'),
    raw("NaN", 400, "not JSON", b'{"text": "mug", "limit": NaN}'),
    raw("Infinity in the filter", 400, "not JSON", b'{"text": "mug", "filter": {"price": -Infinity}}'),
    raw("a float that is infinite", 422, "'price'", b'{"text": "mug", "filter": {"price": 1e999}}'),
    raw("an infinite bound", 422, "'price'", b'{"text": "mug", "filter": {"price": {"lt": 1e999}}}'),
    raw("an infinite limit", 422, "limit:", b'{"text": "mug", "limit": 1e999}'),
    raw("an integer of 5000 digits", 400, "not JSON", b'{"text": "mug", "limit": ' + b"9" * 5000 + b"}"),
    raw("invalid UTF-8", 400, "not JSON: invalid unicode", b'{"text": "m\xffg"}'),
    raw("half a character", 400, "not JSON", b'{"text": "\\ud800"}'),
    raw("half a character in the filter", 400, "not JSON", b'{"text": "x", "filter": {"brand": "\\udfff"}}'),
    raw("nested too deep", 400, "recursion limit", b'{"filter":' * 5000 + b"1" + b"}" * 5000),
    raw("a list", 422, "object", b"[1, 2]"),
    raw("null", 422, "object", b"null"),
    raw("text/plain", 415, "text/plain", b"mug", {"content-type": "text/plain"}),
    raw("no content type", 415, "none is given", b'{"text": "mug"}', {}),
    raw("urlencoded", 415, "urlencoded", b"text=mug", {"content-type": "application/x-www-form-urlencoded"}),
    raw("a form without boundary", 400, "boundary", b"--b--", {"content-type": "multipart/form-data"}),
    raw("a form that is none", 400, "form cannot be read", b"what is this", FORM),
    raw("an empty form", 422, "empty query", b"--b--\r\n", FORM),
    raw("an image that is text", 422, "image: a file is needed", part('; name="image"', b"hello"), FORM),
    raw("a part without a name", 400, "name", part("", b"hello"), FORM),
    raw(
        "a field twice",
        422,
        "more than once",
        part('; name="text"', b"a")[:-7] + b"\r\n" + part('; name="text"', b"b"),
        FORM,
    ),
    raw(
        "a charset of half characters",
        400,
        "not UTF-8",
        part('; name="text"', b"\\ud800"),
        {"content-type": "multipart/form-data; boundary=b; charset=unicode_escape"},
    ),
    raw(
        "a name of half characters",
        400,
        "not UTF-8",
        part('; name="\\ud800"', b"x"),
        {"content-type": "multipart/form-data; boundary=b; charset=unicode_escape"},
    ),
    form("an empty file", 422, "empty", {"image": ("x.png", b"", "image/png")}),
    form("not an image", 422, "not an image", {"image": ("x.png", b"hello", "image/png")}),
    form("an SVG", 422, "not an image", {"image": ("x.svg", b"<svg/>", "image/svg+xml")}),
    form("too large an upload", 413, "larger", {"image": ("x.png", b"\x89PNG" + bytes(250_000), "image/png")}),
    form("a body beyond all", 413, "larger", {"image": ("x.png", bytes(900_000), "image/png")}),
    form("an unknown form field", 422, "unknown", colour="red"),
    form("an unknown file field", 422, "unknown", {"photo": ("x.png", photo(), "image/png")}),
    form("form limit not a number", 422, "limit:", limit="many"),
    form("form limit a float", 422, "limit:", limit="2.0"),
    form("form limit 0", 422, "limit:", limit="0"),
    form("form filter not JSON", 400, "filter: not JSON", filter="{brand}"),
    form("form filter a list", 422, "filter:", filter="[]"),
    form("form filter bad", 422, "'price'", filter='{"price": {"near": 5}}'),
    form("form text huge", 422, "text:", text="x" * 1001),
    form("form text beyond all", 400, "form cannot be read", text="x" * 70_000),
    form("text as a file", 422, "text:", {"text": ("x.txt", b"mug", "text/plain")}),
    form("many files", 400, "form cannot be read", [("image", ("a.png", photo(), "image/png"))] * 9),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
async def test_a_bad_query_gets_one_sentence(bad: Bad, caplog: pytest.LogCaptureFixture) -> None:
    async with stocked().client() as client:
        response = await client.post("/search", **bad.send)
    assert response.status_code == bad.status, response.text
    assert response.headers["content-type"] == "application/json"
    problem = response.json()["error"]
    assert set(problem) <= {"type", "message", "field", "state"}
    assert all(word in problem["message"] for word in bad.words), problem
    assert "\n" not in problem["message"]
    assert len(problem["message"]) < 300
    assert "Traceback" not in response.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_nothing_is_fetched_or_encoded_for_a_query_that_is_refused() -> None:
    shop = stocked()
    async with shop.client() as client:
        await client.post("/search", json={"image_url": "file:///photos/lamp.png"})
        await client.post("/search", json={"image_url": "https://images.example/mug.jpg", "filter": {"brand": None}})
    assert shop.images.asked == []
    assert shop.encoder.asked == []


async def test_a_body_without_a_length_is_cut_off_at_the_cap() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * SMALL.max_body:
            sent += 65_536
            yield bytes(65_536)

    async with stocked().client() as client:
        response = await client.post("/search", content=endless(), headers=JSON)
    assert response.status_code == 413
    assert sent < 2 * SMALL.max_body


async def test_a_body_that_never_comes_is_408() -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b'{"te'
        await asyncio.sleep(60)

    shop = stocked()
    shop.policy = SearchPolicy(read_within=0.05)
    async with shop.client() as client:
        response = await client.post("/search", content=stuck(), headers=JSON)
    assert response.status_code == 408
    assert response.json()["error"]["type"] == "timeout"


async def test_an_unknown_path_and_a_wrong_method_are_errors_of_the_same_shape() -> None:
    async with stocked().client() as client:
        lost, wrong = await client.get("/nowhere"), await client.get("/search")
    assert (lost.status_code, lost.json()["error"]["type"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (405, "method_not_allowed")
    assert "/docs" in json.dumps(lost.json())
