"""GET /v1/products, photos and health."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from catalog.domain.product import ProductKey
from catalog.errors import Unavailable
from search.media import scheme, sniff
from tests.search.shop import SPACE, data_url, photo, product, stocked


async def test_a_product_is_told_by_tenant_and_id() -> None:
    async with stocked().client() as client:
        ours = await client.get("/v1/products/mug")
        theirs = await client.get("/v1/products/mug", params={"tenant": "other"})
    assert ours.json()["title"] == "sea green mug"
    assert theirs.json()["title"] == "another shop's mug"
    assert theirs.json()["price"] is None
    assert theirs.json()["photo"] is None


@pytest.mark.parametrize("name", ["mug/blue", "50% off", "größe", "a?b#c", "photo", "a b", '"quoted"'])
async def test_an_id_may_hold_anything(name: str) -> None:
    shop = stocked()
    shop.shelf.products[ProductKey("shop & son", name)] = product("odd", images=[data_url(photo())])
    async with shop.client() as client:
        response = await client.get(f"/v1/products/{quote(name, safe='')}", params={"tenant": "shop & son"})
        assert response.json()["id"] == name
        assert (await client.get(response.json()["photo"])).content == photo()


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/products/gone", 404, "no live product 'gone'"),
        ("/v1/products/none", 404, "no live product 'none'"),
        ("/v1/products/mug?tenant=nobody", 404, "tenant 'nobody'"),
        ("/v1/products/mug?tenant=", 422, "tenant:"),
        ("/v1/products/mug?tenant=" + "x" * 129, 422, "tenant:"),
        ("/v1/products/" + "x" * 513, 422, "product_id:"),
        ("/v1/products/gone/photo", 404, "no live product 'gone'"),
        ("/v1/products/mug/photo?n=1", 404, "has 1 photos"),
        ("/v1/products/mug/photo?n=-1", 422, "n:"),
        ("/v1/products/mug/photo?n=64", 422, "n:"),
        ("/v1/products/mug/photo?n=first", 422, "n:"),
        ("/v1/products/mug%2Fblue/photo", 404, "has 0 photos"),
        ("/v1/products/lamp/photo?n=2", 404, "not an image that browsers show"),
        ("/v1/products/lamp/photo?n=3", 404, "not an image that browsers show"),
    ],
)
async def test_what_is_not_there_is_a_sentence(path: str, status: int, words: str) -> None:
    async with stocked().client() as client:
        response = await client.get(path)
    assert response.status_code == status
    assert words in response.json()["error"]["message"]


async def test_a_photo_on_the_web_is_a_redirect() -> None:
    async with stocked().client() as client:
        response = await client.get("/v1/products/mug/photo")
    assert response.status_code == 307
    assert response.headers["location"] == "https://images.example/mug.jpg"


async def test_a_redirect_holds_no_second_header() -> None:
    shop = stocked()
    shop.shelf.products[ProductKey("default", "odd")] = product(
        "odd", images=["https://images.example/a\r\nset-cookie: x=1"]
    )
    async with shop.client() as client:
        response = await client.get("/v1/products/odd/photo")
    assert "set-cookie" not in response.headers
    assert "\n" not in response.headers["location"]


@pytest.mark.parametrize("n", [0, 1])
async def test_other_photos_are_bytes_of_their_own_type_that_nothing_may_run(n: int) -> None:
    async with stocked().client() as client:
        response = await client.get("/v1/products/lamp/photo", params={"n": n})
    assert response.status_code == 200
    assert response.content == photo("gold")
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in response.headers["content-security-policy"]


async def test_a_photo_that_was_too_large_to_keep_is_404() -> None:
    shop = stocked()
    shop.shelf.products[ProductKey("default", "big")] = product("big", images=["data:image/jpeg;base64,"])
    async with shop.client() as client:
        assert (await client.get("/v1/products/big/photo")).status_code == 404


async def test_a_photo_that_cannot_be_had_says_why() -> None:
    shop = stocked()
    shop.shelf.products[ProductKey("default", "lost")] = product("lost", images=["file:///photos/none.png"])
    async with shop.client() as client:
        response = await client.get("/v1/products/lost/photo")
    assert response.status_code == 404
    assert "there is no image at file:///photos/none.png" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/products/mug", "/v1/products/mug/photo"])
async def test_no_index_no_product(path: str) -> None:
    shop = stocked()
    shop.shelf.failure = Unavailable("the index does not answer")
    async with shop.client() as client:
        response = await client.get(path)
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")


async def test_health_counts_live_products() -> None:
    async with stocked().client() as client:
        response = await client.get("/v1/status")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "index": True, "space": SPACE.id, "products": 4, "message": ""}


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_health_is_503_while_the_index_is_silent(how: str) -> None:
    shop = stocked()
    if how == "fails":
        shop.shelf.failure = Unavailable("the index at index.test does not answer")
    else:
        shop.shelf.delay = 60
    async with shop.client() as client:
        response = await client.get("/v1/status")
    body = response.json()
    assert response.status_code == 503
    assert (body["status"], body["index"], body["products"]) == ("unavailable", False, None)
    assert "answer" in body["message"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_images_are_known_by_their_bytes(kind: str) -> None:
    assert sniff(photo(kind=kind)) == f"image/{kind.lower()}"


@pytest.mark.parametrize("data", [b"", b"<html>", b"<svg/>", b"RIFF0000WAVE", b"0000ftypmp42", b"%PDF", b"\xff\xd8"])
def test_anything_else_is_no_image(data: bytes) -> None:
    assert sniff(data) is None


@pytest.mark.parametrize(
    ("url", "is_"), [("HTTPS://x", "https"), ("nothing", ""), (" file:x", " file"), ("data:,", "data")]
)
def test_a_scheme_is_what_stands_before_the_colon(url: str, is_: str) -> None:
    assert scheme(url) == is_
