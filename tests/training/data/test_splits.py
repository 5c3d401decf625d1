from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.training.data.test_products import example
from training.data.products import Example
from training.data.query_log import ClickLog
from training.data.splits import PARTS, SplitPolicy, components, marks, parts_of, split, split_log


def test_products_that_share_a_brand_a_title_or_a_photo_stay_together() -> None:
    found = components(
        [
            example(0, "Acme red mug"),
            example(1, "ACME blue mug"),
            example(2, "Borg hat", pixels="same"),
            example(3, "Cyan hat", pixels="same"),
            example(4, "Hat", brand="Dune"),
            example(5, " HAT ", brand="Ember"),
            example(6, "Fern hat"),
        ]
    )
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert found[4] == found[5]
    assert len(set(found)) == 4


def test_no_brand_and_no_photo_are_shared_by_nobody() -> None:
    assert len(set(components([example(0, ""), Example("1", "", b"", {}, ""), Example("2", "", b"", {}, "")]))) == 3


def test_what_is_held_back_shares_nothing_with_what_is_trained_on() -> None:
    draw = np.random.default_rng(3)
    shop = [
        example(i, f"brand{draw.integers(40)} thing {draw.integers(300)}", pixels=f"p{draw.integers(900)}")
        for i in range(300)
    ]
    kept, held = split(shop, share=0.2, seed=1)
    assert sorted([*kept, *held]) == list(range(300))
    assert 60 <= len(held) < 300
    for mark in (lambda e: e.brand, lambda e: e.title, lambda e: e.pixels):
        assert not {mark(shop[i]) for i in kept} & {mark(shop[i]) for i in held}
    again = split(shop, share=0.2, seed=1)
    assert np.array_equal(again[1], held)
    assert not np.array_equal(split(shop, share=0.2, seed=2)[1], held)


SHOPS = st.lists(
    st.tuples(
        st.sampled_from(["Acme", "ACME ", "borg", "Cyan", "Dune", "ember", ""]),
        st.sampled_from(["Mug", "mug", "Red  mug", "red mug", "Hat", ""]),
        st.sampled_from(["p1", "p2", "p3", "", "p4"]),
    ),
    max_size=40,
)
POLICIES = st.builds(SplitPolicy, st.floats(0, 0.5), st.floats(0, 0.5), st.integers(0, 9))


@given(SHOPS, POLICIES)
def test_no_brand_title_or_photo_is_in_two_parts(shop: list[tuple[str, str, str]], policy: SplitPolicy) -> None:
    found = [Example(str(i), title, b"", {"brand": brand}, pixels) for i, (brand, title, pixels) in enumerate(shop)]
    parts = parts_of(found, policy)
    home: dict[tuple[str, str], int] = {}
    for one, part in zip(found, parts.tolist(), strict=True):
        for mark in marks(one):
            assert home.setdefault(mark, part) == part
    assert np.array_equal(parts, parts_of(found, policy))


def test_the_parts_are_at_least_as_large_as_asked() -> None:
    shop = [example(i, f"brand{i % 50} thing {i}") for i in range(200)]
    sizes = np.bincount(parts_of(shop, SplitPolicy(validation=0.2, test=0.1)), minlength=3)
    assert sizes[2] >= 20
    assert sizes[1] + sizes[2] >= 60
    assert sizes[0] > 100


LOGS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 11), st.sampled_from([0.5, 1, 3])),
    min_size=1,
    unique_by=lambda one: one[:2],
)


@given(LOGS, st.lists(st.integers(0, 2), min_size=12, max_size=12), st.integers(0, 5))
def test_a_query_is_asked_in_one_part_and_finds_that_parts_products(
    rows: list[tuple[int, int, float]], parts: list[int], seed: int
) -> None:
    log = log_of(sorted(rows))
    found = split_log(log, np.array(parts, np.int8), seed=seed)
    assert sum(len(part.query) for part in found.parts) + found.crossing == len(rows)
    seen = [set(part.queries) for part in found.parts]
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]
    assert set().union(*seen) == set(log.queries), "a query always keeps its own part's products"
    whole = {(log.queries[q], i): w for q, i, w in zip(log.query, log.item, log.weight, strict=True)}
    for number, part in enumerate(found.parts):
        for q, i, w in zip(part.query, part.item, part.weight, strict=True):
            assert parts[i] == number
            assert whole[part.queries[q], i] == w


def test_a_query_stays_where_it_is_when_others_come() -> None:
    parts = np.array([0, 1, 2] * 4, np.int8)
    few = log_of([(q, i, 1.0) for q in range(20) for i in range(12)])
    more = log_of([(q, i, 1.0) for q in range(40) for i in range(12)])
    homes = [[set(part.queries) for part in split_log(log, parts, seed=0).parts] for log in (few, more)]
    for before, after in zip(*homes, strict=True):
        assert before <= after
        assert after


def log_of(rows: list[tuple[int, int, float]]) -> ClickLog:
    kept, query = np.unique([q for q, _, _ in rows], return_inverse=True)
    return ClickLog(
        tuple(f"query {q}" for q in kept),
        query.astype(np.int32),
        np.array([i for _, i, _ in rows], np.int32),
        np.array([w for _, _, w in rows], np.float32),
    )


def test_the_parts_have_names() -> None:
    assert PARTS == ("train", "validation", "test")
