from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.training.data.test_products import example
from training.data.products import Example
from training.data.query_log import ClickLog
from training.data.splits import PARTS, SplitPolicy, components, parts_of, shared_keys, split, split_log


def test_products_that_share_a_brand_a_title_or_a_photo_stay_together() -> None:
    component = components(
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
    assert component[0] == component[1]
    assert component[2] == component[3]
    assert component[4] == component[5]
    assert len(set(component)) == 4


def test_missing_brands_and_photos_connect_nothing() -> None:
    assert len(set(components([example(0, ""), Example("1", "", b"", {}, ""), Example("2", "", b"", {}, "")]))) == 3


def test_the_test_shares_nothing_with_the_training() -> None:
    rng = np.random.default_rng(3)
    shop = [
        example(i, f"brand{rng.integers(40)} thing {rng.integers(300)}", pixels=f"p{rng.integers(900)}")
        for i in range(300)
    ]
    train, test = split(shop, share=0.2, seed=1)
    assert sorted([*train, *test]) == list(range(300))
    assert 60 <= len(test) < 300
    for key in (lambda e: e.brand, lambda e: e.title, lambda e: e.pixels):
        assert not {key(shop[i]) for i in train} & {key(shop[i]) for i in test}
    again = split(shop, share=0.2, seed=1)
    assert np.array_equal(again[1], test)
    assert not np.array_equal(split(shop, share=0.2, seed=2)[1], test)


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
    examples = [Example(str(i), title, b"", {"brand": brand}, pixels) for i, (brand, title, pixels) in enumerate(shop)]
    parts = parts_of(examples, policy)
    part_of_key: dict[tuple[str, str], int] = {}
    for product, part in zip(examples, parts.tolist(), strict=True):
        for key in shared_keys(product):
            assert part_of_key.setdefault(key, part) == part
    assert np.array_equal(parts, parts_of(examples, policy))


def test_the_parts_have_at_least_their_shares() -> None:
    shop = [example(i, f"brand{i % 50} thing {i}") for i in range(200)]
    sizes = np.bincount(parts_of(shop, SplitPolicy(validation=0.2, test=0.1)), minlength=3)
    assert sizes[2] >= 20
    assert sizes[1] + sizes[2] >= 60
    assert sizes[0] > 100


LOGS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 11), st.sampled_from([0.5, 1, 3])),
    min_size=1,
    unique_by=lambda row: row[:2],
)


@given(LOGS, st.lists(st.integers(0, 2), min_size=12, max_size=12), st.integers(0, 5))
def test_a_query_is_in_one_part_and_leads_to_its_products(
    rows: list[tuple[int, int, float]], parts: list[int], seed: int
) -> None:
    log = log_of(sorted(rows))
    split_by_part = split_log(log, np.array(parts, np.int8), seed=seed)
    assert sum(len(part.query) for part in split_by_part.parts) + split_by_part.crossing == len(rows)
    queries = [set(part.queries) for part in split_by_part.parts]
    assert not queries[0] & queries[1] | queries[0] & queries[2] | queries[1] & queries[2]
    assert set().union(*queries) == set(log.queries), "a query always keeps its own part's products"
    weights = {(log.queries[q], i): w for q, i, w in zip(log.query, log.item, log.weight, strict=True)}
    for number, part in enumerate(split_by_part.parts):
        for q, i, w in zip(part.query, part.item, part.weight, strict=True):
            assert parts[i] == number
            assert weights[part.queries[q], i] == w


def test_new_queries_do_not_move_a_query() -> None:
    parts = np.array([0, 1, 2] * 4, np.int8)
    few = log_of([(q, i, 1.0) for q in range(20) for i in range(12)])
    more = log_of([(q, i, 1.0) for q in range(40) for i in range(12)])
    assignments = [[set(part.queries) for part in split_log(log, parts, seed=0).parts] for log in (few, more)]
    for before, after in zip(*assignments, strict=True):
        assert before <= after
        assert after


def log_of(rows: list[tuple[int, int, float]]) -> ClickLog:
    numbers, query = np.unique([q for q, _, _ in rows], return_inverse=True)
    return ClickLog(
        tuple(f"query {q}" for q in numbers),
        query.astype(np.int32),
        np.array([i for _, i, _ in rows], np.int32),
        np.array([w for _, _, w in rows], np.float32),
    )


def test_the_parts_have_names() -> None:
    assert PARTS == ("train", "validation", "test")
