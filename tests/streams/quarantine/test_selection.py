from __future__ import annotations

from dataclasses import replace

import pytest

from catalog.domain.record import Record, Reject, Stage
from catalog.events.parser import ParserConfig
from streams.quarantine.selection import Selection
from streams.quarantine.topic import QuarantineEntry

CONTRACT = ParserConfig(tenant="shop")
RECORD = Record(b'["shop","a"]', b'{"id": "b", "tenant": "other"}', "products", 0, 7, 1000)
ENTRY = QuarantineEntry(Reject(RECORD, Stage.SCHEMA, "offer.price: -1 is not a number"), 5000, partition=1, offset=3)


@pytest.mark.parametrize(
    ("selection", "matches"),
    [
        (Selection(), True),
        (Selection(stage=Stage.SCHEMA), True),
        (Selection(stage=Stage.PARSE), False),
        (Selection(reason="PRICE"), True),
        (Selection(reason="title"), False),
        (Selection(since=5000), True),
        (Selection(since=5001), False),
        (Selection(until=5001), True),
        (Selection(until=5000), False),
        (Selection(product="a"), True),
        (Selection(product="b"), True),
        (Selection(product="b", tenant="other"), True),
        (Selection(product="b", tenant="shop"), False),
        (Selection(tenant="shop"), True),
        (Selection(product="c"), False),
        (Selection(replayed=False), True),
        (Selection(replayed=True), False),
        (Selection(stage=Stage.SCHEMA, product="c"), False),
    ],
)
def test_a_selection_matches_what_it_says(selection: Selection, matches: bool):
    assert selection.matches(ENTRY, CONTRACT) is matches


def test_replayed_entries_can_be_selected():
    replayed = replace(ENTRY, replayed_at=6000)
    assert Selection(replayed=True).matches(replayed, CONTRACT)
    assert not Selection(replayed=False).matches(replayed, CONTRACT)
    assert Selection().matches(replayed, CONTRACT)


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[1]", b'{"id": []}', b'{"id": "x", "tenant": 5}', b"{"])
@pytest.mark.parametrize("key", [None, b"", b"\xff"])
def test_an_unreadable_record_is_about_no_product(key: bytes | None, value: bytes | None):
    entry = replace(ENTRY, reject=replace(ENTRY.reject, record=replace(RECORD, key=key, value=value)))
    assert not Selection(product="x").matches(entry, CONTRACT)
