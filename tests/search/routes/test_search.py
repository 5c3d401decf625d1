"""POST /v1/search: what a good query gets."""

from __future__ import annotations

import asyncio
import json

import pytest

from catalog.domain.filters import AnyOf, Range
from catalog.domain.image_state import ImageState
from catalog.errors import FatalError, ImageProblem, Unavailable
from search import SearchPolicy
from tests.search.shop import SPACE, data_url, photo, stocked


async def test_words_find_live_products_best_first() -> None:
    shop = stocked()
    async with shop.client() as client:
        response = await client.post("/v1/search", json={"text": "sea green mug", "limit": 3})
    assert response.status_code == 200
    body = response.json()
    assert body["space"] == SPACE.id
    assert set(body["took_ms"]) == {"encode", "search", "total"}
    assert body["hits"][0]["id"] == "mug"
    assert len(body["hits"]) == 3
    assert [hit["score"] for hit in body["hits"]] == sorted((hit["score"] for hit in body["hits"]), reverse=True)
    assert "gone" not in {hit["id"] for hit in body["hits"]}


async def test_a_hit_says_what_the_index_knows_and_nothing_of_its_bookkeeping() -> None:
    async with stocked().client() as client:
        [hit] = (await client.post("/v1/search", json={"text": "sea green mug", "limit": 1})).json()["hits"]
    assert hit.pop("score") == pytest.approx(1.0, abs=1e-3)
    assert hit == {
        "id": "mug",
        "tenant": "default",
        "title": "sea green mug",
        "images": ["https://images.example/mug.jpg"],
        "photo": "/v1/products/mug/photo?tenant=default&n=0",
        "attributes": {"brand": "Arbour"},
        "price": 12.5,
        "currency": "EUR",
        "available": True,
        "content_version": 7,
        "offer_version": 9,
        "event_time": 1_732_245_000_123,
        "age_s": 9.877,
        "variants": [],
        "image_state": "ok",
        "image_reason": "",
    }


async def test_photos_that_are_not_on_the_web_are_named_by_this_server() -> None:
    async with stocked().client() as client:
        body = (await client.post("/v1/search", json={"text": "brass lamp", "limit": 1})).json()
        assert body["hits"][0]["images"][1] == "/v1/products/lamp/photo?tenant=default&n=1"
        assert (await client.get(body["hits"][0]["images"][1])).content == photo("gold")


async def test_the_filter_reaches_the_shelf_as_conditions() -> None:
    shop = stocked()
    async with shop.client() as client:
        spec = {"brand": ["Lumen", "Other"], "price": {"gte": 5, "lte": 90}, "available": True}
        body = (await client.post("/v1/search", json={"text": "mug", "filter": spec})).json()
    assert [hit["id"] for hit in body["hits"]] == ["lamp"]
    assert set(shop.shelf.conditions) == {
        AnyOf("attributes.brand", ("Lumen", "Other")),
        Range("price", gte=5.0, lte=90.0),
        AnyOf("available", (True,)),
    }


async def test_a_photo_is_looked_for_by_upload_by_url_and_with_words() -> None:
    shop = stocked()
    shop.images.photos["https://images.example/wanted.png"] = photo("red")
    async with shop.client() as client:
        upload = await client.post("/v1/search", files={"image": ("x.png", photo("blue"), "image/png")})
        form = {"text": "mug", "limit": "2", "filter": json.dumps({"tenant": "default"})}
        both = await client.post("/v1/search", data=form, files={"image": ("x.png", photo("blue"), "image/png")})
        web = await client.post("/v1/search", json={"image_url": "https://images.example/wanted.png"})
        inline = await client.post("/v1/search", json={"image_url": data_url(photo("pink")), "text": "x"})
    assert [r.status_code for r in (upload, both, web, inline)] == [200] * 4
    assert len(both.json()["hits"]) == 2
    assert shop.encoder.calls == [
        (None, photo("blue")),
        ("mug", photo("blue")),
        (None, photo("red")),
        ("x", photo("pink")),
    ]


async def test_a_form_of_words_alone_and_a_file_input_left_alone() -> None:
    shop = stocked()
    boundary = {"content-type": "multipart/form-data; boundary=b"}
    empty = 'Content-Disposition: form-data; name="image"; filename=""\r\nContent-Type: application/octet-stream'
    words = 'Content-Disposition: form-data; name="text"'
    body = f"--b\r\n{words}\r\n\r\ngrün\r\n--b\r\n{empty}\r\n\r\n\r\n--b--\r\n".encode()
    async with shop.client() as client:
        assert (await client.post("/v1/search", content=body, headers=boundary)).status_code == 200
    assert shop.encoder.calls == [("grün", None)]


async def test_nulls_are_fields_left_out() -> None:
    async with stocked().client() as client:
        fields = {"text": "mug", "image_url": None, "filter": None}
        assert (await client.post("/v1/search", json=fields)).status_code == 200


@pytest.mark.parametrize("part", ["shelf", "encoder"])
async def test_a_service_that_does_not_answer_is_503_and_when_to_come_back(part: str) -> None:
    shop = stocked()
    getattr(shop, part).failure = Unavailable("the index does not answer: start it")
    async with shop.client() as client:
        response = await client.post("/v1/search", files={"image": ("x.png", photo(), "image/png")})
    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"
    assert response.json() == {"error": {"type": "unavailable", "message": "the index does not answer: start it"}}


async def test_a_service_that_hangs_is_503_after_the_policys_seconds() -> None:
    shop = stocked()
    shop.policy = SearchPolicy(answer_timeout_s=0.05)
    shop.shelf.delay = 60
    async with shop.client() as client:
        response = await client.post("/v1/search", json={"text": "mug"})
    assert response.status_code == 503
    assert response.json()["error"]["message"].startswith("no answer")


async def test_an_image_that_cannot_be_fetched_says_its_state_and_reason() -> None:
    shop = stocked()
    async with shop.client() as client:
        response = await client.post("/v1/search", json={"image_url": "https://images.example/none.jpg"})
    assert response.status_code == 422
    assert response.json()["error"] == {
        "type": "image",
        "state": "missing",
        "message": "there is no image at https://images.example/none.jpg",
    }


async def test_one_query_too_many_is_told_to_come_back_and_the_others_are_answered() -> None:
    shop = stocked()
    shop.policy = SearchPolicy(max_in_flight=2, max_waiting=1)
    shop.encoder.delay = 0.1
    async with shop.client() as client:
        responses = await asyncio.gather(*(client.post("/v1/search", json={"text": "mug"}) for _ in range(5)))
        later = await client.post("/v1/search", json={"text": "mug"})
    assert sorted(r.status_code for r in responses) == [200, 200, 200, 429, 429]
    assert {r.headers["retry-after"] for r in responses if r.status_code == 429} == {"2"}
    assert later.status_code == 200


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (RuntimeError("secret path /etc/keys"), "The service failed unexpectedly; see its log for the cause."),
        (FatalError("The model's files are gone: reinstall."), "The model's files are gone: reinstall."),
    ],
)
async def test_what_nobody_expected_is_500_logged_once_and_keeps_its_secrets(
    failure: Exception, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    shop = stocked()
    shop.encoder.failure = failure
    async with shop.client() as client:
        response = await client.post("/v1/search", files={"image": ("x.png", photo(), "image/png")})
    assert response.status_code == 500
    assert response.json() == {"error": {"type": "internal", "message": message}}
    assert response.headers["x-content-type-options"] == "nosniff"
    assert [record.exc_info is not None for record in caplog.records if record.levelname == "ERROR"] == [True]


async def test_a_broken_image_is_a_422_whoever_notices() -> None:
    shop = stocked()
    shop.encoder.failure = ImageProblem(ImageState.TOO_LARGE, "the image has more than 50 million pixels")
    async with shop.client() as client:
        response = await client.post("/v1/search", files={"image": ("x.png", photo(), "image/png")})
    assert response.status_code == 422
    assert response.json()["error"]["state"] == "too_large"
