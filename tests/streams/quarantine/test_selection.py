from __future__ import annotations

from dataclasses import replace

import pytest

from catalog.domain.record import Record, Reject, Stage
from catalog.events.parser import Contract
from streams.quarantine.selection import Choice
from streams.quarantine.topic import Entry

CONTRACT = Contract(tenant="shop")
RECORD = Record(b'["shop","a"]', b'{"id": "b", "tenant": "other"}', "products", 0, 7, 1000)
ENTRY = Entry(Reject(RECORD, Stage.SCHEMA, "offer.price: -1 is not a number"), 5000, partition=1, offset=3)


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        (Choice(), True),
        (Choice(stage=Stage.SCHEMA), True),
        (Choice(stage=Stage.PARSE), False),
        (Choice(reason="PRICE"), True),
        (Choice(reason="title"), False),
        (Choice(since=5000), True),
        (Choice(since=5001), False),
        (Choice(until=5001), True),
        (Choice(until=5000), False),
        (Choice(product="a"), True),
        (Choice(product="b"), True),
        (Choice(product="b", tenant="other"), True),
        (Choice(product="b", tenant="shop"), False),
        (Choice(tenant="shop"), True),
        (Choice(product="c"), False),
        (Choice(replayed=False), True),
        (Choice(replayed=True), False),
        (Choice(stage=Stage.SCHEMA, product="c"), False),
    ],
)
def test_a_choice_means_what_it_says(choice: Choice, meant: bool):
    assert choice.holds(ENTRY, CONTRACT) is meant


def test_what_was_sent_back_can_be_asked_for():
    back = replace(ENTRY, replayed_at=6000)
    assert Choice(replayed=True).holds(back, CONTRACT)
    assert not Choice(replayed=False).holds(back, CONTRACT)
    assert Choice().holds(back, CONTRACT)


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[1]", b'{"id": []}', b'{"id": "x", "tenant": 5}', b"{"])
@pytest.mark.parametrize("key", [None, b"", b"\xff"])
def test_a_record_that_says_nothing_readable_is_about_no_product(key: bytes | None, value: bytes | None):
    entry = replace(ENTRY, reject=replace(ENTRY.reject, record=replace(RECORD, key=key, value=value)))
    assert not Choice(product="x").holds(entry, CONTRACT)
