"""A key of one tenant never sees a product of another, whatever it asks, on a real index."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalog.domain.change import VersionStamp
from catalog.domain.product import ProductKey
from catalog.domain.state import ProductState, payload_of
from catalog.ports import ProductWrite
from catalog.query.candidates import CandidateService
from catalog.query.search import SearchService
from embedded.engine.process import EngineProcess
from indexer import QdrantCandidateReader, QdrantRecentProducts
from search import Dependencies, KeyFile, ProductStream, create_app, index_health, product_stream_routes
from tests.fixtures_engine import Subject, client_of, collection_at
from tests.search.keys import grant
from tests.search.shop import SPACE, Album, Overlap, bag

TENANTS = ("arbour", "lumen", "default")
IDS = ("mug", "lamp", "mug/blue", "no such thing")
ROUNDS = 150


async def stock(subject: Subject) -> None:
    """The same ids for every tenant, with titles, brands and parents that name whose they are."""
    writes = []
    for n, tenant in enumerate(TENANTS):
        for i, id_ in enumerate(IDS[:3]):
            fields: dict[str, Any] = {"price": 5.0 + i, "currency": "EUR", "available": bool(i)}
            fields |= {"attributes.brand": f"of-{tenant}", "attributes.parent": f"kin-{tenant}-{i % 2}"}
            state = ProductState(base=VersionStamp(1, 0, ""), live=True, fields=fields)
            payload = payload_of(state, fingerprint="f", event_time=1_732_245_000_000 + 10 * n + i)
            title = f"red mug of-{tenant} {id_}"
            vectors = {"fused": bag(title)}
            writes.append(
                ProductWrite(ProductKey(tenant, id_), None, payload | {"title": title, "images": []}, vectors)
            )
    await subject.index.write(writes)


@asynccontextmanager
async def shared_shelf(engine: EngineProcess, keys: KeyFile) -> AsyncIterator[httpx.AsyncClient]:
    async with collection_at(engine.url, SPACE) as subject, client_of(engine.url) as client:
        await stock(subject)
        candidates = QdrantCandidateReader(client, collection=subject.collection, space=SPACE, timeout_s=20)
        search_service = SearchService(
            product_reader=subject.shelf,
            vector_reader=subject.looks,
            facet_reader=subject.facets,
            encoder=Overlap(),
        )
        dependencies = Dependencies(
            search_service=search_service,
            candidate_service=CandidateService(candidate_reader=candidates, search_service=search_service),
            product_reader=subject.shelf,
            images=Album(),
            health=index_health(subject.shelf, space=SPACE.id),
            collection=subject.collection,
        )
        live = product_stream_routes(
            ProductStream(QdrantRecentProducts(client, collection=subject.collection, timeout_s=20))
        )
        app = create_app(dependencies, routers=[live], keys=keys)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop.test") as asking:
            yield asking


def any_filter(rng: random.Random) -> dict[str, Any] | None:
    """Mostly one that names tenants, or asks for what another tenant has."""
    other = rng.choice(TENANTS)
    return rng.choice(
        [
            None,
            {"tenant": other},
            {"tenant": list(TENANTS)},
            {"tenant": {"not": other}},
            {"not": {"tenant": other}},
            {"brand": {"exists": True}},
            {"brand": [f"of-{tenant}" for tenant in TENANTS]},
            {"price": {"gte": 0}},
        ]
    )


def any_request(rng: random.Random) -> tuple[str, str, dict[str, Any]]:
    """Method, path and what goes with them. The words are no mark of any tenant."""
    id_, other = rng.choice(IDS), rng.choice(TENANTS)
    parts = [{"text": "red mug"}, {"product": id_}, {"product": id_, "tenant": other, "weight": -0.5}]
    query: dict[str, Any] = rng.choice([{"text": "red mug"}, {"mix": rng.sample(parts, rng.randint(1, 3))}])
    query = query | {"filter": any_filter(rng), "limit": rng.choice([1, 5, 1000]), "exact": rng.random() < 0.5}
    if "text" in query:
        query["mode"] = rng.choice(["dense", "lexical", "hybrid"])
    where = f"/v1/products/{id_.replace('/', '%2F').replace(' ', '%20')}"
    tenant = rng.choice([{}, {"tenant": other}])
    spec = query["filter"]
    filter_params = {} if spec is None else {"filter": json.dumps(spec)}
    return rng.choice(
        [
            ("POST", "/v1/search", {"json": query | rng.choice([{}, {"facets": ["brand", "parent"]}])}),
            ("POST", "/v1/search", {"json": query | {"group_by": "parent"}}),
            ("POST", "/v1/search", {"json": query | {"sort": "price", "offset": rng.randint(0, 3)}}),
            ("POST", "/v1/candidates", {"json": query | {"fields": ["title", "attributes.brand"]}}),
            ("POST", "/v1/encode", {"json": {"mix": [{"product": id_, "tenant": other}, {"text": "red"}]}}),
            ("GET", where, {"params": tenant}),
            ("GET", f"{where}/photo", {"params": tenant}),
            ("GET", f"{where}/similar", {"params": {**tenant, **filter_params, "limit": 50}}),
            ("GET", "/v1/facets", {"params": {**filter_params, "field": ["brand", "parent"]}}),
        ]
    )


@pytest.mark.parametrize("seed", range(2))
async def test_no_request_shows_a_product_of_another_tenant(engine: EngineProcess, tmp_path: Path, seed: int) -> None:
    file, rng = tmp_path / "keys.json", random.Random(seed)
    keys = {tenant: grant(file, tenant, tenant=tenant) for tenant in TENANTS}
    seen = dict.fromkeys(TENANTS, 0)
    async with shared_shelf(engine, KeyFile(file)) as client:
        for _ in range(ROUNDS):
            tenant = rng.choice(TENANTS)
            method, path, sent = any_request(rng)
            answer = await client.request(method, path, headers={"x-api-key": keys[tenant]}, **sent)
            assert answer.status_code in (200, 404, 422), (path, sent, answer.text)
            if path == "/v1/encode" and sent["json"]["mix"][0]["tenant"] != tenant:
                assert answer.status_code in (404, 422), "its vector says what it looks like"
            for mark in ("of", "kin"):
                others = [f"{mark}-{other}" for other in TENANTS if other != tenant]
                shown = answer.text if answer.status_code == 200 else ""
                assert not any(other in shown for other in others), (tenant, path, sent, answer.text)
            seen[tenant] += f"of-{tenant}" in answer.text
    assert min(seen.values()) > ROUNDS // 20, "each saw products of its own"


async def test_a_key_of_all_tenants_sees_them_all(engine: EngineProcess, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = grant(file)
    async with shared_shelf(engine, KeyFile(file)) as client:
        answer = await client.post("/v1/search", json={"text": "red mug"}, headers={"x-api-key": key})
    assert {hit["tenant"] for hit in answer.json()["hits"]} == set(TENANTS)
