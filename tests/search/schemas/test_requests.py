"""Finding: every bad query is a 4xx with one sentence that says what is wrong."""

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
    path: str = ""  # of a GET; otherwise it is a POST to /search


JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=b"}


def body(name: str, status: int, words: str | tuple[str, ...], **fields: object) -> Bad:
    return Bad(name, status, (words,) if isinstance(words, str) else words, {"json": fields})


def raw(name: str, status: int, words: str, content: bytes, headers: dict[str, str] = JSON) -> Bad:
    return Bad(name, status, (words,), {"content": content, "headers": headers})


def form(name: str, status: int, words: str, files: object = None, **fields: str) -> Bad:
    parts = files if files is not None else {"image": ("x.png", photo(), "image/png")}
    return Bad(name, status, (words,), {"files": parts, "data": fields})


def get(path: str, status: int, words: str, **params: object) -> Bad:
    return Bad(f"{path} {params}"[:80], status, (words,), {"params": params}, path)


def mix(name: str, words: str | tuple[str, ...], *parts: object, status: int = 422, **fields: object) -> Bad:
    return body(f"mix {name}", status, words, mix=list(parts), **fields)


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
    mix("empty", "empty query"),
    mix("of blank words", "empty query", {"text": " "}),
    mix("of weights that are all 0", "empty query", {"text": "mug", "weight": 0}),
    mix("of nothing", ("mix.0: a part has exactly one of", "none is given"), {}),
    mix("of a weight alone", "mix.0: a part has exactly one of", {"weight": 1}),
    mix("of two things", ("mix.1:", "not text and product"), {"text": "mug"}, {"text": "mug", "product": "mug"}),
    mix("of text that is not in an object", "mix.0:", "mug"),
    mix("an unknown field", ("mix.0.colour: unknown", "image_url, product"), {"colour": "red"}),
    mix("too many", "17 parts", *({"text": "mug"} for _ in range(17))),
    mix("weight as text", "mix.0.weight:", {"text": "mug", "weight": "1"}),
    mix("weight true", "mix.0.weight:", {"text": "mug", "weight": True}),
    mix("weight null", "mix.0.weight:", {"text": "mug", "weight": None}),
    mix("weight too large", "weight: 101 is not between -100 and 100", {"text": "mug", "weight": 101}),
    mix("cancelling out", "cancel each other out", {"text": "mug"}, {"text": "mug", "weight": -1}),
    mix("product as a number", "mix.0.product:", {"product": 5}),
    mix("product without a name", "mix.0.product:", {"product": ""}),
    mix("product endless", "mix.0.product:", {"product": "x" * 513}),
    mix("product not there", "no live product 'none' of tenant 'default'", {"product": "none"}),
    mix("product deleted", "no live product 'gone'", {"product": "gone"}),
    mix(
        "product of another tenant", "no live product 'lamp' of tenant 'other'", {"product": "lamp", "tenant": "other"}
    ),
    mix("tenant without a product", "tenant needs a product in the same part", {"text": "mug", "tenant": "other"}),
    mix("tenant without a name", "mix.0.tenant:", {"product": "mug", "tenant": ""}),
    mix("upload of JSON", "there is no uploaded image 0; there are 0", {"upload": 0}),
    mix("upload below 0", "mix.0.upload:", {"upload": -1}),
    mix("upload a float", "mix.0.upload:", {"upload": 0.5}),
    mix("text too long", "1001 characters", {"text": "x" * 1001}),
    mix("a file to fetch", "only http, https and data", {"image_url": "file:///photos/lamp.png"}),
    mix("a photo that is not there", "no image", {"image_url": "https://images.example/none.jpg"}),
    mix("no photo for the photo's vector", "has no vector 'image'", {"product": "mug/blue"}, using="image"),
    body("mix an object", 422, "mix:", mix={"text": "mug"}),
    raw("mix weight NaN", 400, "not JSON", b'{"mix": [{"text": "mug", "weight": NaN}]}'),
    raw("mix weight infinite", 422, "mix.0.weight:", b'{"mix": [{"text": "mug", "weight": -1e999}]}'),
    body("mode unknown", 422, ("mode:", "'lexical'"), text="x", mode="sparse"),
    body("mode a number", 422, "mode:", text="x", mode=1),
    body("mode in capitals", 422, "mode:", text="x", mode="Dense"),
    body("lexical without words", 422, "mode: lexical looks for words", image_url=data_url(photo()), mode="lexical"),
    body("hybrid without words", 422, "mode: hybrid looks for words", mix=[{"product": "mug"}], mode="hybrid"),
    body("lexical of a picture too", 422, "words alone", text="x", image_url=data_url(photo()), mode="lexical"),
    body("lexical against words", 422, "negative", mode="lexical", mix=[{"text": "a"}, {"text": "b", "weight": -1}]),
    body("fusion unknown", 422, "fusion.best: unknown", text="x", fusion={"best": {}}),
    body("fusion of nothing", 422, "exactly one of rrf and weighted", text="x", fusion={}),
    body("fusion of both", 422, "exactly one", text="x", fusion={"rrf": {}, "weighted": {}}),
    body("fusion as text", 422, "fusion:", text="x", fusion="rrf"),
    body("fusion k 0", 422, "k is 0", text="x", fusion={"rrf": {"k": 0}}),
    body("fusion k a float", 422, "fusion.rrf.k:", text="x", fusion={"rrf": {"k": 0.5}}),
    body("fusion weights 0", 422, "not both 0", text="x", fusion={"rrf": {"dense": 0, "lexical": 0}}),
    body("fusion weight below 0", 422, "none below 0", text="x", fusion={"rrf": {"dense": -1}}),
    body("fusion share above 1", 422, "1.5, not between 0 and 1", text="x", fusion={"weighted": {"dense": 1.5}}),
    body("fusion unknown weight", 422, "k, dense, lexical", text="x", fusion={"rrf": {"sparse": 1}}),
    body("fusion of one ranking", 422, "nothing to fuse", text="x", mode="dense", fusion={"rrf": {}}),
    raw(
        "fusion share infinite",
        422,
        "fusion.weighted.dense:",
        b'{"text": "x", "fusion": {"weighted": {"dense": 1e999}}}',
    ),
    body("using unknown", 422, ("no vector 'titles'", "fused, image"), text="x", using="titles"),
    body("using a list", 422, "using:", text="x", using=["fused"]),
    body("exact as text", 422, "exact:", text="x", exact="yes"),
    body("exact 1", 422, "exact:", text="x", exact=1),
    body("ef 0", 422, "ef: 0", text="x", ef=0),
    body("ef 10**6", 422, "ef: 1000000", text="x", ef=10**6),
    body("timeout 0", 422, "timeout_ms:", text="x", timeout_ms=0),
    body("timeout below 0", 422, "timeout_ms:", text="x", timeout_ms=-5),
    body("timeout of an hour", 422, "timeout_ms:", text="x", timeout_ms=3_600_000),
    body("timeout a float", 422, "timeout_ms:", text="x", timeout_ms=0.5),
    body("filter unknown field", 422, ("no product has 'colour'", "brand (text)"), text="x", filter={"colour": "red"}),
    body("filter number for text", 422, ("'brand' holds text", "5 is a number"), text="x", filter={"brand": 5}),
    body("filter text for a number", 422, "'price' holds numbers", text="x", filter={"price": "12.5"}),
    body("filter true for a number", 422, "'price' holds numbers", text="x", filter={"price": True}),
    body("filter text for true", 422, "'available' holds true or false", text="x", filter={"available": "true"}),
    body("filter 1 for true", 422, "'available' holds true or false", text="x", filter={"available": 1}),
    body("filter mixed list", 422, "7 is a number", text="x", filter={"brand": ["Arbour", 7]}),
    body(
        "filter range of text field",
        422,
        "'brand' holds text, so it has no range",
        text="x",
        filter={"brand": {"gt": 1}},
    ),
    body("filter not null", 422, "'brand'", text="x", filter={"brand": {"not": None}}),
    body("filter not nothing", 422, "empty list", text="x", filter={"brand": {"not": []}}),
    body("filter not not", 422, "'not'", text="x", filter={"brand": {"not": {"not": "a"}}}),
    body("filter not of another type", 422, "holds text", text="x", filter={"brand": {"not": 5}}),
    body("filter not too many", 422, "256", text="x", filter={"brand": {"not": ["a"] * 257}}),
    body("filter exists 1", 422, "true or false for exists", text="x", filter={"brand": {"exists": 1}}),
    body("filter exists unknown", 422, "no product has 'colour'", text="x", filter={"colour": {"exists": False}}),
    body("facets as text", 422, "facets:", text="x", facets="brand"),
    body("facets of numbers", 422, "facets.0:", text="x", facets=[5]),
    body("facets without a name", 422, "facets.0.field:", text="x", facets=[""]),
    body("facets of an unknown field", 422, ("'colour' is not counted", "brand"), text="x", facets=["colour"]),
    body(
        "facets with an unknown word",
        422,
        ("facets.0.top: unknown", "limit"),
        text="x",
        facets=[{"field": "a", "top": 5}],
    ),
    body("facets limit 0", 422, "facets: a limit of 0", text="x", facets=[{"field": "brand", "limit": 0}]),
    body("facets limit 10**9", 422, "facets: a limit of", text="x", facets=[{"field": "brand", "limit": 10**9}]),
    body("facets twice", 422, "more than once", text="x", facets=["brand", {"field": "brand"}]),
    body("facets too many", 422, "17 fields", text="x", facets=[f"f{n}" for n in range(17)]),
    body("group_by unknown", 422, "group_by: no product has 'colour'", text="x", group_by="colour"),
    body("group_by nothing", 422, "group_by:", text="x", group_by=""),
    body("group_by a list", 422, "group_by:", text="x", group_by=["parent"]),
    body("group_size 0", 422, "group_size: 0", text="x", group_by="brand", group_size=0),
    body("group_size 101", 422, "group_size: 101", text="x", group_by="brand", group_size=101),
    body("groups too deep", 422, "1000 of a grouped search", text="x", group_by="brand", offset=990),
    body("sort unknown", 422, ("sort:", "'price' or '-price'"), text="x", sort="newest"),
    body("offset -1", 422, "offset: -1", text="x", offset=-1),
    body("offset too deep", 422, "more than the 10000", text="x", offset=9_990),
    body("offset beyond 64 bits", 422, "offset:", text="x", offset=10**30),
    body("offset as text", 422, "offset:", text="x", offset="0"),
    body("an id where a field belongs", 422, "product: unknown", product="mug"),
    form("form image and image_url", 422, "either a URL or an uploaded image", image_url=data_url(photo())),
    form("form mix not JSON", 400, "mix: not JSON", mix="[{]"),
    form("form mix an object", 422, "mix:", mix="{}"),
    form("form mix without the upload", 422, "no part uses the uploaded image 0", mix='[{"text": "mug"}]'),
    form("form mix with one upload too many", 422, "there is no uploaded image 1; there are 1", mix='[{"upload": 1}]'),
    form("form facets not JSON", 400, "facets: not JSON", facets="brand"),
    form("form exact maybe", 422, "exact:", exact="maybe"),
    form("form offset", 422, "offset:", offset="-1"),
    form("form mode", 422, "mode:", mode="best"),
    form(
        "form two images, one is none", 422, "not an image", [("image", ("a.png", photo())), ("image", ("b.png", b"x"))]
    ),
    form("form images too large together", 413, "larger", [("image", ("a.png", b"\x89PNG" + bytes(150_000)))] * 3),
    form(
        "a page that begins like a picture",
        422,
        "not an image",
        {"image": ("x.html", b"<!--\x89PNG--><html>", "image/png")},
    ),
    form("a GIF's name on a script", 422, "not an image", {"image": ("x.gif", b"=1;alert(1)//GIF89a", "image/gif")}),
    form("an archive", 422, "not an image", {"image": ("x.png", b"PK\x03\x04" + photo(), "image/png")}),
    form("a PDF with a picture in it", 422, "not an image", {"image": ("x.pdf", b"%PDF-1.7" + photo(), "image/jpeg")}),
    get("/v1/products/none/similar", 404, "no live product 'none'"),
    get("/v1/products/gone/similar", 404, "no live product 'gone'"),
    get("/v1/products/lamp/similar", 404, "of tenant 'other'", tenant="other"),
    get("/v1/products/mug%2Fblue/similar", 422, "has no vector 'image'", using="image"),
    get("/v1/products/mug/similar", 422, "limit: 0", limit=0),
    get("/v1/products/mug/similar", 422, "limit:", limit="many"),
    get("/v1/products/mug/similar", 422, "no vector 'x'", using="x"),
    get("/v1/products/mug/similar", 400, "filter: not JSON", filter="brand"),
    get("/v1/products/mug/similar", 422, "filter:", filter="[]"),
    get("/v1/products/mug/similar", 422, "no product has 'colour'", filter='{"colour": "red"}'),
    get("/v1/products/mug/similar", 422, "'price'", filter='{"price": {"gte": 1e999}}'),
    get("/v1/products/mug/similar", 422, "'colour' is not counted", facets="colour"),
    get("/v1/products/mug/similar", 422, "group_by: no product", group_by="colour"),
    get("/v1/products/mug/similar", 422, "sort:", sort="newest"),
    get("/v1/products/mug/similar", 422, "text: unknown", text="mug"),
    get("/v1/products/mug/similar", 422, "timeout_ms:", timeout_ms=0),
    get("/v1/products/" + "x" * 513 + "/similar", 422, "product_id:"),
    get("/v1/facets", 422, "'colour' is not counted", field="colour"),
    get("/v1/facets", 422, "a limit of 0", field="brand", limit=0),
    get("/v1/facets", 422, "more than once", field=["brand", "brand"]),
    get("/v1/facets", 400, "filter: not JSON", filter="{"),
    get("/v1/facets", 422, "colour: unknown", colour="red"),
    form("many files", 400, "form cannot be read", [("image", ("a.png", photo(), "image/png"))] * 9),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
async def test_a_bad_query_gets_one_sentence(bad: Bad, caplog: pytest.LogCaptureFixture) -> None:
    async with stocked().client() as client:
        response = await (client.get(bad.path, **bad.send) if bad.path else client.post("/v1/search", **bad.send))
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
        await client.post("/v1/search", json={"image_url": "file:///photos/lamp.png"})
        await client.post("/v1/search", json={"image_url": "https://images.example/mug.jpg", "filter": {"brand": None}})
    assert shop.images.calls == []
    assert shop.encoder.calls == []


async def test_a_body_without_a_length_is_cut_off_at_the_cap() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100 * SMALL.max_body:
            sent += 65_536
            yield bytes(65_536)

    async with stocked().client() as client:
        response = await client.post("/v1/search", content=endless(), headers=JSON)
    assert response.status_code == 413
    assert sent < 2 * SMALL.max_body


async def test_a_body_that_never_comes_is_408() -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b'{"te'
        await asyncio.sleep(60)

    shop = stocked()
    shop.policy = SearchPolicy(read_timeout_s=0.05)
    async with shop.client() as client:
        response = await client.post("/v1/search", content=stuck(), headers=JSON)
    assert response.status_code == 408
    assert response.json()["error"]["type"] == "timeout"


async def test_an_unknown_path_and_a_wrong_method_are_errors_of_the_same_shape() -> None:
    async with stocked().client() as client:
        lost, wrong = await client.get("/nowhere"), await client.get("/v1/search")
    assert (lost.status_code, lost.json()["error"]["type"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (405, "method_not_allowed")
    assert "/docs" in json.dumps(lost.json())
