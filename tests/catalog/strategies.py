"""Hypothesis strategies for events and changes, with so few values that they collide."""

from __future__ import annotations

from hypothesis import strategies as st

from catalog.domain.change import Delete, Patch, Put
from catalog.domain.product import Content, Offer, Product, ProductKey

KEY = ProductKey("shop", "sku-1")
versions = st.integers(0, 6)
titles = st.sampled_from(["mug", "red mug", "lamp"])
prices = st.sampled_from([None, 1.0, 2.5])
colours = st.sampled_from(["red", "blue", ("red", "blue")])

puts = st.builds(
    lambda title, images, colour, price, version: Put(
        Product(KEY, Content(title, images), {"color": colour}, Offer(price=price, available=True)), version
    ),
    titles,
    st.sampled_from([(), ("http://a/1.jpg",)]),
    colours,
    prices,
    versions,
)
patches = st.builds(
    Patch,
    st.just(KEY),
    versions,
    st.fixed_dictionaries(
        {},
        optional={
            "price": st.sampled_from([None, 1.0, 3.5]),
            "available": st.sampled_from([None, True, False]),
            "attributes.color": st.sampled_from([None, "red", 3]),
            "attributes.size": st.sampled_from([None, "S", True]),
        },
    ),
)
deletes = st.builds(Delete, st.just(KEY), versions)
changes = st.one_of(puts, patches, deletes)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def _mostly(valid: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(valid, valid, valid, json_values)


events = st.fixed_dictionaries(
    {},
    optional={
        "op": _mostly(st.sampled_from(["put", "patch", "delete"])),
        "id": _mostly(st.text(min_size=1, max_size=5) | st.integers(0, 99)),
        "tenant": _mostly(st.text(min_size=1, max_size=3)),
        "version": _mostly(st.integers(0, 2**63 - 1) | st.floats(0, 100)),
        "title": _mostly(st.text(max_size=8)),
        "images": _mostly(st.lists(st.text(max_size=5), max_size=3)),
        "attributes": _mostly(st.dictionaries(st.text(max_size=3), json_values, max_size=3)),
        "offer": _mostly(
            st.fixed_dictionaries(
                {},
                optional={
                    "price": _mostly(st.floats(0, 1e15)),
                    "currency": _mostly(st.just("EUR")),
                    "available": _mostly(st.booleans()),
                    "old": json_values,
                },
            )
        ),
        "colour": json_values,
    },
)
