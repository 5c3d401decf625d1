"""POST /v1/search, whatever is sent: an answer or a sentence, never a failure of ours."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.search.shop import stocked

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
NAMES = st.sampled_from(["text", "image_url", "limit", "filter"]) | st.text(max_size=8)
FILTERS = st.dictionaries(
    st.sampled_from(["price", "brand", "tenant", "available"]) | st.text(max_size=8),
    VALUES | st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), SCALARS, max_size=2),
    max_size=3,
)
QUERIES = st.fixed_dictionaries(
    {}, optional={"text": VALUES | st.just("mug"), "limit": VALUES, "filter": VALUES | FILTERS}
)
ANY_JSON = (st.dictionaries(NAMES, VALUES, max_size=4) | QUERIES | VALUES).map(lambda value: json.dumps(value).encode())
ANY_FORM = st.lists(st.tuples(st.binary(max_size=60), st.binary(max_size=60)), max_size=3).map(
    lambda parts: b"".join(b"--b\r\n" + head + b"\r\n\r\n" + body + b"\r\n" for head, body in parts) + b"--b--\r\n"
)
NAMED_FORM = st.dictionaries(
    st.sampled_from(["text", "image", "limit", "filter", "other"]),
    st.binary(max_size=40) | ANY_JSON,
    max_size=3,
).map(
    lambda fields: (
        b"".join(
            b'--b\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + value + b"\r\n"
            for name, value in fields.items()
        )
        + b"--b--\r\n"
    )
)
TYPES = st.sampled_from(
    [
        "application/json",
        "multipart/form-data; boundary=b",
        "multipart/form-data; boundary=b; charset=utf-16",
        "text/plain",
    ]
)


@given(ANY_JSON | ANY_FORM | NAMED_FORM | st.binary(max_size=200), TYPES)
@settings(max_examples=300, deadline=None)
async def test_any_body_gets_an_answer_or_a_sentence(body: bytes, kind: str) -> None:
    async with stocked().client() as client:
        response = await client.post("/v1/search", content=body, headers={"content-type": kind})
    assert response.status_code in (200, 400, 415, 422), (body, response.text)
    if response.status_code != 200:
        assert response.json()["error"]["message"]
