"""Who has a key for one tenant never sees a product of another, whatever is asked of whichever endpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import quote

import httpx
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.domain.product import ProductKey
from search import KeyFile
from search.schemas.candidate_formats import ARROW, LINES
from tests.search.keys import grant
from tests.search.shop import Shop, data_url, photo, product

TENANTS = ("north", "south", "default")
COLORS = {"north": "teal", "south": "gold", "default": "plum"}
IDS = ("mug", "mug/2", "lamp", "only-{tenant}")


def mark(tenant: str) -> str:
    """What stands in every product of a tenant, and in nobody's question."""
    return f"kept-by-{tenant}"


@dataclass(frozen=True)
class Place:
    app: FastAPI
    keys: dict[str, str]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://shop.test")


@cache
def place() -> Place:
    shop = Shop()
    for tenant in TENANTS:
        for n, name in enumerate(IDS):
            shop.shelf.products[ProductKey(tenant, name.format(tenant=tenant))] = product(
                f"green mug {mark(tenant)}",
                images=[data_url(photo(COLORS[tenant]))],
                attributes={
                    "brand": ["Arbour", mark(tenant)][n % 2],
                    "parent": f"p{n % 2}",
                    mark(tenant): mark(tenant),
                },
                price=float(n),
            )
    file = Path(mkdtemp()) / "keys.json"
    keys = {tenant: grant(file, tenant, tenant=tenant) for tenant in TENANTS}
    shop.keys = KeyFile(file)
    return Place(shop.app(), keys)


NAMES = st.sampled_from([name.format(tenant=tenant) for tenant in TENANTS for name in IDS])
WHOSE = st.sampled_from([*TENANTS, "nobody"])
VALUE = st.sampled_from(["Arbour", *TENANTS, "p0", "p1"])
TEST = st.one_of(
    VALUE,
    st.lists(VALUE, min_size=1, max_size=3),
    st.fixed_dictionaries({"not": VALUE}),
    st.fixed_dictionaries({"exists": st.booleans()}),
)
FILTER = st.dictionaries(st.sampled_from(["tenant", "brand", "parent", "currency"]), TEST, max_size=3)
PART = st.one_of(
    st.fixed_dictionaries({"text": st.just("green mug")}, optional={"weight": st.sampled_from([1, 0.5, -0.5])}),
    st.fixed_dictionaries({"product": NAMES}, optional={"tenant": WHOSE, "weight": st.sampled_from([1, -0.5])}),
)
SHAPE: dict[str, st.SearchStrategy[Any]] = {
    "filter": FILTER,
    "facets": st.lists(st.sampled_from(["tenant", "brand", "parent", "color"]), unique=True, max_size=3),
    "group_by": st.sampled_from(["tenant", "parent", "brand"]),
    "sort": st.sampled_from(["price", "-price"]),
    "offset": st.integers(0, 3),
}
LOOKED_FOR: dict[str, st.SearchStrategy[Any]] = {
    "text": st.sampled_from(["green mug", "kept"]),
    "mix": st.lists(PART, min_size=1, max_size=3),
    "mode": st.sampled_from(["dense", "lexical", "hybrid"]),
    "filter": FILTER,
    "using": st.sampled_from(["fused", "image"]),
}
Ask = tuple[str, str, dict[str, Any]]


def post(path: str, fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Ask]:
    body = st.fixed_dictionaries({}, optional=fields).map(lambda body: body or {"text": "green mug"})
    accept = st.sampled_from(["application/json", LINES, ARROW])
    return st.tuples(body, accept).map(
        lambda arguments: ("POST", path, {"json": arguments[0], "headers": {"accept": arguments[1]}})
    )


def get(ending: str, params: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Ask]:
    some = st.fixed_dictionaries({}, optional=params)
    return st.tuples(NAMES, some).map(
        lambda arguments: (
            "GET",
            f"/v1/products/{quote(arguments[0], safe='')}{ending}",
            {"params": _as_text(arguments[1])},
        )
    )


def _as_text(params: dict[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(value) if isinstance(value, dict) else value for name, value in params.items()}


ASKS: st.SearchStrategy[Ask] = st.one_of(
    post("/v1/search", {**LOOKED_FOR, **SHAPE}),
    post("/v1/candidates", {**LOOKED_FOR, "fields": st.just(["title", "tenant", "brand", "price"])}),
    post("/v1/encode", {name: LOOKED_FOR[name] for name in ("text", "mix", "using")}),
    get("", {"tenant": WHOSE}),
    get("/photo", {"tenant": WHOSE}),
    get(
        "/similar",
        {"tenant": WHOSE, "facets": SHAPE["facets"], **{n: SHAPE[n] for n in ("filter", "group_by", "sort")}},
    ),
    st.fixed_dictionaries({}, optional={"field": SHAPE["facets"], "filter": FILTER}).map(
        lambda params: ("GET", "/v1/facets", {"params": _as_text(params)})
    ),
)


@given(caller=st.sampled_from(TENANTS), ask=ASKS)
@settings(max_examples=150, deadline=None)
async def test_nobody_sees_a_product_of_another_tenant(caller: str, ask: Ask) -> None:
    method, path, arguments = ask
    key = {"x-api-key": place().keys[caller], **arguments.get("headers", {})}
    async with place().client() as client:
        response = await client.request(method, path, **{**arguments, "headers": key})
    assert response.status_code < 500, response.text
    others = [tenant for tenant in TENANTS if tenant != caller]
    for other in others:
        assert mark(other).encode() not in response.content, (caller, ask)
        assert photo(COLORS[other]) != response.content
    if response.status_code == 200 and response.headers["content-type"] == "application/json":
        assert set(_tenants(response)) <= {caller}
        counted = [count["count"] for counts in response.json().get("facets", {}).values() for count in counts]
        assert all(count <= len(IDS) for count in counted), (caller, ask)
    whose = arguments.get("params", {}).get("tenant", caller)
    if path.startswith("/v1/products/") and whose != caller:
        assert response.status_code == 404


def _tenants(response: httpx.Response) -> list[str]:
    body = response.json()
    hits = [member for hit in body.get("hits", []) for member in (hit, *hit["variants"])]
    return [hit["tenant"] for hit in hits] + [t for t in (body.get("tenant"), *body.get("tenants", [])) if t]


async def test_the_owner_does_see_them() -> None:
    async with place().client() as client:
        for tenant in TENANTS:
            key = {"x-api-key": place().keys[tenant]}
            response = await client.post("/v1/search", json={"text": "green mug", "facets": ["tenant"]}, headers=key)
            assert mark(tenant) in response.text
            assert response.json()["facets"] == {"tenant": [{"value": tenant, "count": len(IDS)}]}
            assert (await client.get("/v1/products/mug", headers=key)).json()["tenant"] == tenant
            assert (await client.get("/v1/products/mug/photo", headers=key)).content == photo(COLORS[tenant])
