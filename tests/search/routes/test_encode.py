"""POST /v1/encode: vectors for those who ask Qdrant themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from catalog.errors import Unavailable
from search.auth.caller import Caller
from search.routes.encode import EncodeRequest
from tests.search.schemas.test_requests_fuzz import ANY_FORM, ANY_JSON, TYPES
from tests.search.shop import SPACE, bag, photo, stocked


async def test_the_vector_is_the_one_a_search_compares_with() -> None:
    async with stocked().client() as client:
        body = (await client.post("/v1/encode", json={"text": "sea green mug"})).json()
    np.testing.assert_allclose(body.pop("vector"), bag("sea green mug"), rtol=1e-6)
    assert body == {"using": "fused", "collection": "products--overlap", "space": SPACE.id}


async def test_a_mix_a_photo_and_the_photos_vectors() -> None:
    shop = stocked()
    async with shop.client() as client:
        mix = {"mix": [{"product": "mug"}, {"text": "blue", "weight": -1}], "using": "image"}
        body = (await client.post("/v1/encode", json=mix)).json()
        upload = await client.post("/v1/encode", files={"image": ("a.png", photo())})
    assert body["using"] == "image"
    assert np.linalg.norm(body["vector"]) == pytest.approx(1, abs=1e-5)
    assert upload.status_code == 200
    assert shop.encoder.calls[-1] == (None, photo())


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ({}, 422, "some text"),
        ({"text": " "}, 422, "some text"),
        ({"text": "mug", "filter": {}}, 422, "filter: unknown"),
        ({"text": "mug", "mode": "lexical"}, 422, "mode: unknown"),
        ({"text": "mug", "using": "title"}, 422, "using"),
        ({"mix": [{"product": "mug", "tenant": "other", "weight": -1}]}, 422, "mug"),
        ({"mix": [{"product": "nobody"}]}, 422, "nobody"),
    ],
)
async def test_what_is_no_query_is_told_so(query: object, status: int, says: str) -> None:
    shop = stocked()
    shop.caller = Caller(tenant="default")
    async with shop.client() as client:
        response = await client.post("/v1/encode", json=query)
    assert response.status_code == status, response.text
    assert says in response.json()["error"]["message"]


async def test_an_encoder_that_is_away_is_a_503() -> None:
    shop = stocked()
    shop.encoder.failure = Unavailable("the device is lost")
    async with shop.client() as client:
        response = await client.post("/v1/encode", json={"text": "mug"})
    assert (response.status_code, response.json()["error"]["message"]) == (503, "the device is lost")


async def test_the_example_works() -> None:
    [example] = EncodeRequest.model_json_schema()["examples"]
    async with stocked().client() as client:
        assert (await client.post("/v1/encode", json=example)).status_code == 200


@given(ANY_JSON | ANY_FORM, TYPES)
@settings(max_examples=100, deadline=None)
async def test_any_body_gets_an_answer_or_a_sentence(body: bytes, kind: str) -> None:
    shop = stocked()
    shop.policy = replace(shop.policy, answer_timeout_s=60)  # a busy machine is no failure
    async with shop.client() as client:
        for path in ("/v1/encode", "/v1/candidates"):
            response = await client.post(path, content=body, headers={"content-type": kind})
            assert response.status_code in (200, 400, 404, 415, 422), (body, response.text)
            if response.status_code != 200:
                assert response.json()["error"]["message"]
