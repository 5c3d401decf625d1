"""The page, the documentation and what a browser is allowed to do with them."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256

import pytest

import search
from tests.search.shop import Shop, stocked

# The namespaces of SVG are names, not addresses.
_NAMESPACE = "http://www.w3.org/2000/svg"


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_may_run_and_load_only_what_is_in_it(path: str) -> None:
    async with Shop().client() as client:
        response = await client.get(path)
        head = await client.head(path)
    assert response.status_code == head.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for tag in ("script", "style"):
        [inline] = re.findall(rf"<{tag}>(.*?)</{tag}>", response.text, re.DOTALL)
        assert policy[f"{tag}-src"] == f"'sha256-{b64encode(sha256(inline.encode()).digest()).decode()}'"


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_refers_to_nothing_elsewhere_and_writes_no_markup(path: str) -> None:
    async with Shop().client() as client:
        html = (await client.get(path)).text
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", html.replace(_NAMESPACE, ""))
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|\son\w+=|\sstyle=|@import", html)
    assert all(not src.startswith(("http", "/")) for src in re.findall(r'(?:src|href)="([^"]*)"', html))


async def test_the_page_can_be_used_without_a_mouse_and_listened_to() -> None:
    async with Shop().client() as client:
        html = (await client.get("/")).text
    assert '<html lang="en">' in html
    assert 'name="viewport"' in html
    assert 'aria-live="polite"' in html
    assert 'role="alert"' in html
    assert "prefers-color-scheme: dark" in html
    assert "prefers-reduced-motion" in html
    for control in re.findall(r"<input[^>]*>", html):
        named = "aria-label" in control or "hidden" in control or re.search(r'id="(text|live)"', control)
        assert named, control


async def test_the_description_is_whole_and_its_examples_work() -> None:
    async with stocked().client() as client:
        description = (await client.get("/openapi.json")).json()
        body = description["paths"]["/search"]["post"]["requestBody"]["content"]
        example = body["application/json"]["schema"]["examples"][0]
        assert (await client.post("/search", json=example)).status_code == 200
    assert description["info"]["title"] == "liveshelf search"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", description["info"]["version"])
    products = {"/products/{product_id}", "/products/{product_id}/photo", "/products/{product_id}/similar"}
    assert set(description["paths"]) == {"/search", "/candidates", "/encode", "/facets", *products, "/health"}
    assert set(body) == {"application/json", "multipart/form-data"}
    assert body["application/json"]["schema"]["additionalProperties"] is False
    for path in description["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            assert operation["description"]
            assert "HTTPValidationError" not in json.dumps(operation)


async def test_every_answer_is_safe_to_open() -> None:
    async with stocked().client() as client:
        for path in ("/", "/docs", "/openapi.json", "/health", "/products/mug", "/products/lamp/photo", "/nowhere"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_what_the_package_gives_is_sorted_and_there() -> None:
    assert search.__all__ == sorted(search.__all__)
    assert all(hasattr(search, name) for name in search.__all__)
