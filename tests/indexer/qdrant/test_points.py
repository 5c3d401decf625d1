from __future__ import annotations

import json
from typing import Any
from uuid import uuid5

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import grpc

from catalog.domain.product import ProductKey
from catalog.domain.state import ProductState, payload_of
from catalog.ports import ProductWrite
from indexer.qdrant.payload import fill, payload_from
from indexer.qdrant.points import (
    NAMESPACE,
    InvalidPoint,
    dense_vector,
    guard_of,
    indexed_state_of,
    point_id,
    point_of,
    stored_point,
)
from tests.fakes import SPACE, unit


def test_the_id_of_a_point_never_changes() -> None:
    assert point_id(ProductKey("shop-a", "sku-1")) == "47793e22-3a58-59c6-837a-8ffdf4561f1d"


@given(st.text(st.characters()), st.text(st.characters()))
def test_the_id_of_a_point_is_the_uuid_of_its_key(tenant: str, id_: str) -> None:
    assert point_id(ProductKey(tenant, id_)) == str(uuid5(NAMESPACE, json.dumps([tenant, id_])))


@given(st.text(st.characters()), st.text(st.characters()), st.text(st.characters()), st.text(st.characters()))
def test_two_keys_never_share_an_id(tenant: str, id_: str, other: str, other_id: str) -> None:
    a, b = ProductKey(tenant, id_), ProductKey(other, other_id)
    assert (point_id(a) == point_id(b)) == (a == b)


@pytest.mark.parametrize(
    ("a", "b"), [(("a", "b:c"), ("a:b", "c")), (("a", ""), ("", "a")), (('a","b', "c"), ("a", 'b","c'))]
)
def test_the_join_of_tenant_and_id_is_unambiguous(a: tuple[str, str], b: tuple[str, str]) -> None:
    assert point_id(ProductKey(*a)) != point_id(ProductKey(*b))


def test_a_guard_is_of_one_point_and_one_revision() -> None:
    guards = {guard_of(p, r) for p in ("p1", "p2") for r in ("r1", "r2")}
    assert len(guards) == 4


@pytest.mark.parametrize("dim", [1, 7, 31, 32, 256, 5000])
def test_a_vector_keeps_every_bit(dim: int) -> None:
    vector = unit("x", dim)
    np.testing.assert_array_equal(np.array(dense_vector(vector).data, dtype=np.float32), vector)
    backwards = vector[::-1]
    np.testing.assert_array_equal(np.array(dense_vector(backwards).data, dtype=np.float32), backwards)


@pytest.mark.parametrize(
    ("payload", "message"),
    [({"title": "\ud800"}, "cannot be stored"), ({"attributes": {"n": 2**64}}, "cannot be stored")],
)
def test_what_protobuf_cannot_carry_is_an_invalid_point(payload: dict[str, object], message: str) -> None:
    write = ProductWrite(ProductKey("a", "1"), None, {"revision": "r", **payload}, {})
    with pytest.raises(InvalidPoint, match=message):
        point_of(write, SPACE)


def test_a_key_that_cannot_be_stored_has_an_id_and_no_point() -> None:
    key = ProductKey("shop", "\ud800")
    assert point_id(key)
    with pytest.raises(InvalidPoint):
        point_of(ProductWrite(key, None, {"revision": "r"}, {}), SPACE)


PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    PLAIN, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(), v, max_size=3), max_leaves=9
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_a_payload_comes_back_as_it_went(payload: dict[str, Any]) -> None:
    point = grpc.PointStruct()
    fill(point.payload, payload)
    assert payload_from(grpc.PointStruct.FromString(point.SerializeToString()).payload) == payload


@pytest.mark.parametrize("as_text", [True, False])
def test_a_clock_is_read_as_text_and_as_the_structure_of_earlier_versions(as_text: bool) -> None:
    payload = payload_of(ProductState(), fingerprint=None, event_time=1)
    point = point_of(ProductWrite(ProductKey("a", "1"), None, payload, {}), SPACE)
    assert point.payload["clock"].HasField("string_value")
    if not as_text:
        fill(point.payload, {"clock": payload["clock"]})
    assert indexed_state_of(stored_point(grpc.RetrievedPoint(payload=dict(point.payload)))).state == ProductState()
