from __future__ import annotations

import json
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from catalog.domain.change import Change, Delete, Patch, Put, digest
from catalog.domain.product import Content, Offer, Product
from catalog.domain.state import ATTRIBUTE, STATE_FIELDS, ProductState, apply, indexed_state_from, payload_of
from tests.catalog.strategies import KEY, changes


def oracle(events: list[Change]) -> dict[str, object]:
    """The state by definition: all changes in order of version, the later wins for each field."""
    bases = sorted((c for c in events if not isinstance(c, Patch)), key=lambda c: c.stamp)
    base = bases[-1] if bases else None
    fields: dict[str, object] = {}
    if isinstance(base, Put):
        offer = base.product.offer
        fields = {"price": offer.price, "currency": offer.currency, "available": offer.available}
        fields |= {ATTRIBUTE + name: value for name, value in base.product.attributes.items()}
    patches = [c for c in events if isinstance(c, Patch)]
    written = [(c.version, digest(value), name, value) for c in patches for name, value in c.fields.items()]
    for version, _, name, value in sorted(written, key=lambda w: w[:2]):
        if base is None or version >= base.version:
            fields[name] = value
    return {
        "live": isinstance(base, Put),
        "title": base.product.content.title if isinstance(base, Put) else None,
        "fields": {name: value for name, value in fields.items() if value is not None},
    }


def folded(events: list[Change]) -> ProductState:
    return reduce(apply, events, ProductState())


def seen(state: ProductState) -> dict[str, object]:
    title = state.content.title if state.content else None
    return {"live": state.live, "title": title, "fields": dict(state.fields)}


@given(st.lists(changes, max_size=8))
def test_the_state_is_that_of_applying_the_changes_by_version(events: list[Change]):
    assert seen(folded(events)) == oracle(events)


@given(st.lists(changes, max_size=7), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_matters(events: list[Change], random):
    shuffled = [*events, *random.sample(events, len(events) // 2)]
    random.shuffle(shuffled)
    assert folded(shuffled) == folded(events)


@given(st.lists(changes, max_size=6), st.lists(changes, max_size=4))
def test_nothing_is_lost_by_going_through_a_payload(before: list[Change], after: list[Change]):
    payload = payload_of(folded(before), fingerprint=None, event_time=0)
    stored = {name: value for name, value in json.loads(json.dumps(payload)).items() if name in STATE_FIELDS}
    through = reduce(apply, after, indexed_state_from(stored).state)
    straight = reduce(apply, after, folded(before))
    assert (through.base, through.patched, through.live) == (straight.base, straight.patched, straight.live)
    assert through.fields == straight.fields


@given(st.lists(changes, max_size=6), st.lists(changes, max_size=6))
def test_states_that_differ_have_different_revisions(first: list[Change], second: list[Change]):
    a, b = (payload_of(folded(events), fingerprint=None, event_time=0) for events in (first, second))
    if (a["live"], a["attributes"], a["price"]) != (b["live"], b["attributes"], b["price"]):
        assert a["revision"] != b["revision"]


def test_a_deleted_product_stays_deleted_under_a_late_put():
    events = [Delete(KEY, 5), *_puts(4)]
    assert not folded(events).live


def test_at_equal_versions_a_delete_beats_a_put():
    for events in ([Delete(KEY, 5), *_puts(5)], [*_puts(5), Delete(KEY, 5)]):
        assert not folded(events).live


def test_a_newer_price_does_not_hide_an_older_photo():
    price = Patch(KEY, 9, {"price": 1.0})
    state = folded([*_puts(4), price, *_puts(7)])
    assert state.content_version == 7
    assert state.offer_version == 9
    assert state.fields["price"] == 1.0


def test_a_patch_before_its_put_waits():
    waiting = folded([Patch(KEY, 9, {"price": 1.0})])
    assert not waiting.live
    assert reduce(apply, _puts(4), waiting).fields["price"] == 1.0


def _puts(version: int) -> list[Put]:
    return [Put(Product(KEY, Content("mug"), {"color": "red"}, Offer(price=5.0)), version)]
