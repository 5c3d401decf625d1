"""The page, the documentation and what a browser is allowed to do with them."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest

import search
from tests.search.shop import Shop, stocked

# The namespaces of SVG are names, not addresses.
_NAMESPACE = "http://www.w3.org/2000/svg"


PARTS = sorted(f"/static/{f.name}" for f in files("search.page").iterdir() if f.name.endswith((".css", ".js", ".svg")))


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_may_run_and_load_only_what_this_service_gives_out(path: str) -> None:
    async with Shop().client() as client:
        response = await client.get(path)
        head = await client.head(path)
    assert response.status_code == head.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert not re.findall(r"<style|<script(?![^>]* src=)|\son\w+=|\sstyle=", response.text)


@pytest.mark.parametrize("path", ["/", "/docs", *PARTS])
async def test_a_page_refers_to_nothing_elsewhere_and_writes_no_markup(path: str) -> None:
    async with Shop().client() as client:
        text = (await client.get(path)).text
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text.replace(_NAMESPACE, ""))
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|\bstyle=|@import", text)
    assert all(not src.startswith(("http", "/")) for src in re.findall(r'(?:src|href)="([^"]*)"', text))


async def test_every_file_of_a_page_is_given_out_with_its_type_and_again_only_when_it_changed() -> None:
    types = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
    async with Shop().client() as client:
        for path in PARTS:
            response = await client.get(path)
            assert (response.status_code, response.headers["content-type"]) == (200, types[path.rpartition(".")[2]])
            revalidated = await client.get(path, headers={"if-none-match": response.headers["etag"]})
            assert (revalidated.status_code, revalidated.content) == (304, b"")
        html = (await client.get("/")).text + (await client.get("/docs")).text
        scripts = "".join([(await client.get(path)).text for path in PARTS])
        named = {*re.findall(r'"static/([\w.]+)"', html), *re.findall(r'from "\./([\w.]+)"', scripts)}
        assert {f"/static/{name}" for name in named} == set(PARTS)
        assert (await client.get("/static/index.html")).status_code == 404
        assert (await client.get("/static/__init__.py")).status_code == 404


async def test_the_description_is_whole_and_its_examples_work() -> None:
    async with stocked().client() as client:
        description = (await client.get("/openapi.json")).json()
        body = description["paths"]["/v1/search"]["post"]["requestBody"]["content"]
        example = body["application/json"]["schema"]["examples"][0]
        assert (await client.post("/v1/search", json=example)).status_code == 200
    assert description["info"]["title"] == "liveshelf search"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", description["info"]["version"])
    products = {"/v1/products/{product_id}", "/v1/products/{product_id}/photo", "/v1/products/{product_id}/similar"}
    assert set(description["paths"]) == {
        "/v1/search",
        "/v1/candidates",
        "/v1/encode",
        "/v1/facets",
        *products,
        "/v1/products/stream",
        "/v1/status",
        "/livez",
        "/readyz",
    }
    assert set(body) == {"application/json", "multipart/form-data"}
    assert body["application/json"]["schema"]["additionalProperties"] is False
    for path in description["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            assert operation["description"]
            assert "HTTPValidationError" not in json.dumps(operation)


async def test_every_answer_is_safe_to_open() -> None:
    async with stocked().client() as client:
        for path in (
            "/",
            "/docs",
            "/openapi.json",
            "/v1/status",
            "/v1/products/mug",
            "/v1/products/lamp/photo",
            "/nowhere",
        ):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_what_the_package_gives_is_sorted_and_there() -> None:
    assert search.__all__ == sorted(search.__all__)
    assert all(hasattr(search, name) for name in search.__all__)
