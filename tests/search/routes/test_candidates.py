"""POST /v1/candidates: what a ranking system gets."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from catalog.errors import Unavailable
from catalog.query.candidates import CandidatePolicy
from search.auth.caller import Caller
from search.routes.candidates import CandidatesRequest
from search.schemas.candidate_formats import ARROW, LINES
from tests.search.shop import SPACE, Shop, bag, photo, stocked

MUG = {"text": "sea green mug", "timeout_ms": 30_000}


def patient() -> Shop:
    """A shop whose service gives a busy machine its time."""
    shop = stocked()
    shop.policy = replace(shop.policy, answer_timeout_s=60)
    return shop


async def test_ids_scores_and_versions_come_as_lists_best_first() -> None:
    async with patient().client() as client:
        response = await client.post("/v1/candidates", json={**MUG, "filter": {"tenant": "default"}, "limit": 2})
    assert response.status_code == 200
    body = response.json()
    took = body.pop("took_ms")
    scores = body.pop("scores")
    assert body == {
        "tenant": "default",
        "ids": ["mug", "mug/blue"],
        "content_versions": [7, 7],
        "offer_versions": [9, 9],
        "fields": {},
        "partial": False,
        "degraded": [],
        "mode": "dense",
        "space": SPACE.id,
    }
    assert scores == sorted(scores, reverse=True)
    assert np.float32(scores[1]) == bag("blue mug") @ bag("sea green mug")
    assert took["total"] >= took["search"] > 0


async def test_where_candidates_are_of_several_tenants_each_says_whose_it_is() -> None:
    async with patient().client() as client:
        body = (await client.post("/v1/candidates", json=MUG)).json()
    assert "tenant" not in body
    assert sorted(zip(body["tenants"], body["ids"], strict=True)) == [
        ("default", "lamp"),
        ("default", "mug"),
        ("default", "mug/blue"),
        ("other", "mug"),
    ]


async def test_nothing_found_is_lists_of_nothing() -> None:
    async with patient().client() as client:
        body = (await client.post("/v1/candidates", json={**MUG, "filter": {"brand": "none"}, "fields": ["x"]})).json()
    assert (body["ids"], body["scores"], body["tenant"], body["fields"]) == ([], [], None, {"x": []})


async def test_fields_come_along_by_the_names_filters_have() -> None:
    async with patient().client() as client:
        query = {**MUG, "fields": ["price", "title", "brand", "category", "price"], "filter": {"tenant": "default"}}
        body = (await client.post("/v1/candidates", json=query)).json()
    lamp = body["ids"].index("lamp")
    assert set(body["fields"]) == {"price", "title", "brand", "category"}
    assert {name: values[lamp] for name, values in body["fields"].items()} == {
        "price": 80.0,
        "title": "brass lamp",
        "brand": "Lumen",
        "category": ["lamps", "desk"],
    }
    assert body["fields"]["category"].count(None) == 2


async def test_lines_of_json_end_in_a_summary() -> None:
    async with patient().client() as client:
        response = await client.post("/v1/candidates", json={**MUG, "fields": ["price"]}, headers={"accept": LINES})
    assert response.headers["content-type"] == LINES
    *rows, summary = [json.loads(line) for line in response.text.splitlines()]
    assert set(rows[0]) == {"id", "tenant", "score", "content_version", "offer_version", "fields"}
    assert [row["fields"]["price"] for row in rows if row["id"] == "lamp"] == [80.0]
    assert summary["count"] == len(rows) == 4
    assert (summary["partial"], summary["space"]) == (False, SPACE.id)


async def test_arrow_is_one_batch_with_types() -> None:
    async with patient().client() as client:
        body = {**MUG, "fields": ["price", "category", "images"]}
        response = await client.post("/v1/candidates", json=body, headers={"accept": ARROW})
    assert response.headers["content-type"] == ARROW
    table = pa.ipc.open_stream(response.content).read_all()
    assert [str(field.type) for field in table.schema][:5] == [
        "string",
        "dictionary<values=string, indices=int32, ordered=0>",
        "float",
        "int64",
        "int64",
    ]
    assert table.num_rows == 4
    lamp = table["id"].to_pylist().index("lamp")
    assert table["price"].to_pylist()[lamp] == 80.0
    assert table["category"].to_pylist()[lamp] == ["lamps", "desk"]
    assert json.loads(table.schema.metadata[b"liveshelf"])["partial"] is False


async def test_a_field_of_several_types_is_json_text_in_arrow() -> None:
    shop = patient()
    for n, payload in enumerate(shop.shelf.products.values()):
        payload["attributes"] = {"size": [42, "L", ["M", 4], True, None][n]}
    async with shop.client() as client:
        response = await client.post("/v1/candidates", json={**MUG, "fields": ["size"]}, headers={"accept": ARROW})
    table = pa.ipc.open_stream(response.content).read_all()
    assert table.schema.field("size").metadata == {b"json": b"true"}
    assert {json.loads(v) if not isinstance(json.loads(v), list) else "list" for v in table["size"].to_pylist()} == {
        42,
        "L",
        "list",
        True,
    }


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/json;q=0.5, application/x-ndjson", LINES),
        (f"text/html, {ARROW};q=0.9", ARROW),
        ("application/json, application/x-ndjson", "application/json"),
        ("Application/X-NDJSON; q=0.1, text/html", LINES),
    ],
)
async def test_the_header_accept_chooses(accept: str, kind: str) -> None:
    async with patient().client() as client:
        response = await client.post("/v1/candidates", json=MUG, headers={"accept": accept})
    assert response.headers["content-type"] == kind


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "nonsense", "application/x-ndjson;q=oops"])
async def test_a_kind_that_is_not_made_is_refused(accept: str) -> None:
    async with patient().client() as client:
        response = await client.post("/v1/candidates", json=MUG, headers={"accept": accept})
    assert response.status_code == 406
    assert LINES in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({}, "some text"),
        ({**MUG, "limit": 0}, "limit"),
        ({**MUG, "limit": 10_001}, "10000"),
        ({**MUG, "fields": "price"}, "fields"),
        ({**MUG, "fields": [""]}, "fields"),
        ({**MUG, "fields": ["x" * 257]}, "fields"),
        ({**MUG, "fields": [f"f{n}" for n in range(17)]}, "16"),
        ({**MUG, "timeout_ms": 0}, "timeout_ms"),
        ({**MUG, "timeout_ms": 10**9}, "timeout_ms"),
        ({**MUG, "offset": 5}, "limit, fields"),
        ({**MUG, "filter": {"price": {}}}, "price"),
    ],
)
async def test_a_bad_query_is_told_what_is_wrong(query: object, says: str) -> None:
    async with patient().client() as client:
        response = await client.post("/v1/candidates", json=query)
    assert response.status_code == 422
    assert says in response.json()["error"]["message"]


async def test_a_slow_encoder_leaves_the_words() -> None:
    shop = patient()
    shop.encoder.delay = 60
    async with shop.client() as client:
        body = (await client.post("/v1/candidates", json={**MUG, "timeout_ms": 4000})).json()
    assert body["partial"] is True
    assert body["degraded"] == ["encoder: no vector in time; found by words alone"]
    assert body["ids"][0] == "mug"


async def test_an_encoder_that_is_away_leaves_the_words_and_a_photo_nothing() -> None:
    shop = patient()
    shop.encoder.failure = Unavailable("the device is lost")
    async with shop.client() as client:
        body = (await client.post("/v1/candidates", json=MUG)).json()
        photo = await client.post("/v1/candidates", json={"image_url": "data:image/png;base64,", "timeout_ms": 30_000})
    assert body["degraded"] == ["encoder: the device is lost; found by words alone"]
    assert photo.status_code == 503


async def test_an_index_that_is_slow_for_many_is_asked_for_fewer() -> None:
    shop = patient()
    shop.shelf.slow_above = 3
    async with shop.client() as client:
        body = (await client.post("/v1/candidates", json={**MUG, "limit": 20, "timeout_ms": 4000})).json()
    assert body["partial"] is True
    assert len(body["ids"]) == 2
    assert body["degraded"] == ["index: 20 did not come in time; 2 were asked for"]


async def test_an_index_that_is_away_is_a_503() -> None:
    shop = patient()
    shop.shelf.failure = Unavailable("no index")
    async with shop.client() as client:
        assert (await client.post("/v1/candidates", json=MUG)).status_code == 503


async def test_the_example_works_and_limits_say_what_holds() -> None:
    [example] = CandidatesRequest.model_json_schema()["examples"]
    async with patient().client() as client:
        assert (await client.post("/v1/candidates", json=example)).status_code == 200
    assert CandidatePolicy().max_limit == 10_000


async def test_a_form_with_a_photo_and_all_kinds_of_parts_are_taken() -> None:
    shop = patient()
    async with shop.client() as client:
        form = {
            "text": "mug",
            "fields": '["price"]',
            "limit": "2",
            "filter": '{"available": true}',
            "timeout_ms": "30000",
        }
        upload = await client.post("/v1/candidates", data=form, files={"image": ("a.png", photo())})
        mix = [{"product": "mug"}, {"text": "brass", "weight": -0.5}]
        like = await client.post(
            "/v1/candidates", json={"timeout_ms": 30_000, "mix": mix, "filter": {"tenant": "default"}}
        )
    assert len(upload.json()["ids"]) == 2
    assert shop.encoder.calls[0] == ("mug", photo())
    assert like.json()["ids"][0] == "mug/blue"  # a product is never like itself


@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
async def test_words_alone_or_with_vectors(mode: str) -> None:
    async with patient().client() as client:
        body = (await client.post("/v1/candidates", json={**MUG, "text": "brass lamp", "mode": mode})).json()
    assert (body["mode"], body["ids"][0], body["partial"]) == (mode, "lamp", False)


@pytest.mark.parametrize("accept", ["application/json", LINES, ARROW])
async def test_nobody_sees_another_tenants_products(accept: str) -> None:
    shop = patient()
    shop.caller = Caller(tenant="other")
    async with shop.client() as client:
        answers = [
            await client.post("/v1/candidates", json=query, headers={"accept": accept})
            for query in (MUG, {**MUG, "filter": {"tenant": "default"}}, {**MUG, "mode": "lexical"})
        ]
        like = await client.post(
            "/v1/candidates", json={"timeout_ms": 30_000, "mix": [{"product": "mug", "tenant": "default"}]}
        )
    assert all(answer.status_code == 200 for answer in answers)
    assert b"another shop" not in answers[0].content  # a title nobody asked for
    assert all(b"lamp" not in answer.content and b"blue" not in answer.content for answer in answers)
    assert (like.status_code, like.json()["error"]["type"]) == (422, "not_found")
