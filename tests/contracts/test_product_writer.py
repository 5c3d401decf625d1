"""What every Index does, fake or real, and what a Shelf sees of it: the same tests for all of them."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.domain.change import VersionStamp
from catalog.domain.filters import AnyOf, Condition, Exists, Not, Range
from catalog.domain.index_query import IndexQuery
from catalog.domain.product import ProductKey
from catalog.domain.space import FUSED, IMAGE
from catalog.domain.state import ProductState, payload_of
from catalog.ports import ProductWrite, Vector
from tests.fakes import SPACE, unit
from tests.fixtures_engine import Subject


def state(version: int, *, live: bool = True, **fields: Any) -> ProductState:
    """A state whose fields are given without the dot: `attributes_brand`, `price`."""
    return ProductState(
        base=VersionStamp(version, 0, f"{version:016x}"),
        patched={"price": VersionStamp(version + 1, 0, "00")},
        live=live,
        fields={name.replace("attributes_", "attributes."): value for name, value in fields.items()},
    )


def payload(of: ProductState, *, fingerprint: str | None = "f1") -> dict[str, Any]:
    return payload_of(of, fingerprint=fingerprint, event_time=1)


def vectors(seed: str) -> dict[str, Vector]:
    return {FUSED: unit(seed, SPACE.vectors[FUSED]), IMAGE: unit(seed + "!", SPACE.vectors[IMAGE])}


def put(
    key: ProductKey, version: int, *, expect: str | None = None, title: str = "a mug", **fields: Any
) -> ProductWrite:
    said = {**payload(state(version, **fields)), "title": title, "images": ["https://shop.example/1.jpg"]}
    return ProductWrite(key, expect, said, vectors(key.id))


def patch(key: ProductKey, version: int, *, expect: str | None, **fields: Any) -> ProductWrite:
    return ProductWrite(key, expect, payload(state(version, **fields)))


def tombstone(key: ProductKey, version: int, *, expect: str | None) -> ProductWrite:
    return ProductWrite(key, expect, payload(state(version, live=False), fingerprint=None), {})


def revision(write: ProductWrite) -> str:
    said = write.payload["revision"]
    assert isinstance(said, str)
    return said


def keys(count: int, tenant: str = "shop") -> list[ProductKey]:
    return [ProductKey(tenant, f"sku-{n}") for n in range(count)]


async def found(subject: Subject, *conditions: Condition) -> set[str]:
    hits = await subject.shelf.search(IndexQuery(vector=unit("query", 8), limit=100, conditions=tuple(conditions)))
    assert len(hits) == await subject.shelf.count(conditions)
    return {hit.key.id for hit in hits}


async def test_an_empty_index_knows_nothing(subject: Subject) -> None:
    assert await subject.index.known(keys(3)) == {}
    assert await subject.index.known([]) == {}
    assert await subject.shelf.get(ProductKey("shop", "sku-0")) is None
    assert await found(subject) == set()


async def test_a_missing_point_is_inserted(subject: Subject) -> None:
    (key,) = keys(1)
    write = put(key, 1, price=12.5, currency="EUR", available=True, attributes_brand="Arbour", attributes_size=(1, 2))
    outcome = await subject.index.write([write])
    assert not outcome.moved
    assert not outcome.invalid
    seen = await subject.shelf.get(key)
    assert seen is not None
    assert seen["title"] == "a mug"
    assert seen["images"] == ["https://shop.example/1.jpg"]
    assert (seen["price"], seen["currency"], seen["available"]) == (12.5, "EUR", True)
    assert seen["attributes"] == {"brand": "Arbour", "size": [1, 2]}
    assert not {"clock", "revision", "fingerprint"} & set(seen)


async def test_nothing_to_write_is_nothing_done(subject: Subject) -> None:
    outcome = await subject.index.write([])
    assert (outcome.moved, outcome.invalid) == (frozenset(), {})


async def test_what_is_known_comes_back_as_it_was_written(subject: Subject) -> None:
    key, unknown = keys(2)
    said = state(
        7, price=3.0, available=False, attributes_brand="Ä", attributes_n=2**53 + 1, attributes_tags=("a", "b")
    )
    said = replace(said, patched={"attributes.brand": VersionStamp(9, 0, "abc"), "price": VersionStamp(2**62, 1, "")})
    write = ProductWrite(key, None, payload(said, fingerprint="f9"), vectors("x"))
    await subject.index.write([write])
    known = await subject.index.known([key, unknown])
    assert set(known) == {key}
    assert known[key].state == said
    assert (known[key].revision, known[key].fingerprint) == (revision(write), "f9")


async def test_a_state_without_a_base_comes_back(subject: Subject) -> None:
    (key,) = keys(1)
    waiting = ProductState(patched={"price": VersionStamp(5, 0, "aa")}, fields={"price": 4.0})
    await subject.index.write([ProductWrite(key, None, payload(waiting, fingerprint=None), {})])
    known = (await subject.index.known([key]))[key]
    assert known.state == waiting
    assert known.fingerprint is None
    assert await found(subject) == set()


async def test_one_batch_is_right_for_each_of_its_points(subject: Subject) -> None:
    right, stale, taken, new, gone = keys(5)
    first = [put(k, 1) for k in (right, stale, taken)]
    await subject.index.write(first)
    expected = revision(first[0])
    outcome = await subject.index.write(
        [
            put(right, 2, expect=expected, title="second"),
            put(stale, 2, expect="no such revision", title="second"),
            put(taken, 2, expect=None, title="second"),
            put(new, 2, expect=None, title="second"),
            put(gone, 2, expect=expected, title="second"),
        ]
    )
    assert outcome.moved == {stale, taken, gone}
    titles = {k: (p or {}).get("title") for k in keys(5) for p in [await subject.shelf.get(k)]}
    assert titles == {right: "second", stale: "a mug", taken: "a mug", new: "second", gone: None}


async def test_a_batch_of_new_points_leaves_the_existing_alone(subject: Subject) -> None:
    old, new = keys(2)
    await subject.index.write([put(old, 1)])
    outcome = await subject.index.write([put(old, 2, title="second"), put(new, 2, title="second")])
    assert outcome.moved == {old}
    seen = await subject.shelf.get(old)
    assert seen is not None
    assert seen["title"] == "a mug"


async def test_the_revision_of_another_point_opens_nothing(subject: Subject) -> None:
    a, b = keys(2)
    first = [put(a, 1), put(b, 5)]
    await subject.index.write(first)
    swapped = [put(a, 9, expect=revision(first[1])), put(b, 9, expect=revision(first[0]))]
    assert (await subject.index.write(swapped)).moved == {a, b}


async def test_what_is_already_written_has_not_moved(subject: Subject) -> None:
    put_key, patch_key = keys(2)
    first = [put(put_key, 1), put(patch_key, 1)]
    await subject.index.write(first)
    second = [put(put_key, 2, expect=revision(first[0])), patch(patch_key, 2, expect=revision(first[1]))]
    # Repeated as after an answer that was lost: no point is what was expected, all are what was to be written.
    for _ in range(2):
        assert not (await subject.index.write(second)).moved
    known = await subject.index.known(keys(2))
    assert [known[w.key].revision for w in second] == [revision(w) for w in second]


async def test_a_payload_only_write_keeps_the_rest(subject: Subject) -> None:
    (key,) = keys(1)
    first = put(key, 1, price=10.0)
    await subject.index.write([first])
    outcome = await subject.index.write([patch(key, 2, expect=revision(first), price=8.0)])
    assert not outcome.moved
    seen = await subject.shelf.get(key)
    assert seen is not None
    assert (seen["price"], seen["title"]) == (8.0, "a mug")
    for name, vector in vectors(key.id).items():
        (hit,) = await subject.shelf.search(IndexQuery(vector=vector, using=name, limit=1))
        assert (hit.key, hit.payload["price"]) == (key, 8.0)
        assert hit.score == pytest.approx(1.0, abs=1e-5)


async def test_a_payload_only_write_of_a_point_without_an_image_vector(subject: Subject) -> None:
    (key,) = keys(1)
    first = replace(put(key, 1), vectors={FUSED: unit("x", 8)})
    await subject.index.write([first])
    assert not (await subject.index.write([patch(key, 2, expect=revision(first), price=8.0)])).moved
    assert await found(subject, Range("price", lte=8.0)) == {key.id}
    assert await subject.shelf.search(IndexQuery(vector=unit("x", 4), using=IMAGE, limit=5)) == []


async def test_a_payload_only_write_never_makes_or_turns_back_a_point(subject: Subject) -> None:
    missing, surprise, moved_on = keys(3)
    first = put(moved_on, 1, price=1.0)
    await subject.index.write([first, put(surprise, 1, price=1.0)])
    await subject.index.write([put(moved_on, 2, expect=revision(first), price=2.0)])
    patches = [
        patch(missing, 3, expect=None, price=3.0),
        patch(surprise, 3, expect=None, price=3.0),
        patch(moved_on, 3, expect=revision(first), price=3.0),
    ]
    assert (await subject.index.write(patches)).moved == {missing, surprise, moved_on}
    assert await subject.index.known([missing]) == {}
    assert await found(subject, Range("price", gte=3.0)) == set()


async def test_a_tombstone_is_hidden_but_known(subject: Subject) -> None:
    gone, stays, never = keys(3)
    first = [put(gone, 1), put(stays, 1)]
    await subject.index.write(first)
    buried = [tombstone(gone, 2, expect=revision(first[0])), tombstone(never, 2, expect=None)]
    assert not (await subject.index.write(buried)).moved
    assert await found(subject) == {stays.id}
    assert await subject.shelf.get(gone) is None
    known = await subject.index.known([gone, never])
    assert [known[k].state.live for k in (gone, never)] == [False, False]
    back = put(gone, 3, expect=revision(buried[0]))
    assert not (await subject.index.write([back])).moved
    assert await found(subject) == {gone.id, stays.id}


async def test_an_invalid_point_costs_its_neighbours_nothing(subject: Subject) -> None:
    good, flat, nan, inf, stranger, also_good = keys(6)
    broken = {
        flat: {FUSED: unit("x", 7)},
        nan: {FUSED: np.full(8, math.nan, dtype=np.float32)},
        inf: {**vectors("x"), IMAGE: np.array([1, 0, math.inf, 0], dtype=np.float32)},
        stranger: {"smell": unit("x", 8)},
    }
    writes = [put(good, 1), *(replace(put(k, 1), vectors=v) for k, v in broken.items()), put(also_good, 1)]
    outcome = await subject.index.write(writes)
    assert set(outcome.invalid) == set(broken)
    assert all(outcome.invalid.values())
    assert not outcome.moved
    assert await found(subject) == {good.id, also_good.id}


async def test_of_two_writers_one_wins_every_revision(subject: Subject) -> None:
    shelf = keys(20)
    for version in range(1, 8):
        known = await subject.index.known(shelf)
        expect = {k: known[k].revision if k in known else None for k in shelf}
        sides = [[put(k, 10 * version + side, expect=expect[k], title=str(side)) for k in shelf] for side in range(2)]
        outcomes = await asyncio.gather(subject.index.write(sides[0]), subject.rival.write(sides[1][::-1]))
        after = await subject.index.known(shelf)
        for n, key in enumerate(shelf):
            winners = [side for side in range(2) if key not in outcomes[side].moved]
            assert len(winners) == 1, f"{key} in round {version}"
            assert after[key].revision == revision(sides[winners[0]][n])


async def test_filters_choose_what_is_found(subject: Subject) -> None:
    a, b, c = keys(3)
    await subject.index.write(
        [
            put(
                a,
                1,
                price=5,
                available=True,
                currency="EUR",
                attributes_brand="Arbour",
                attributes_color=("red", "blue"),
            ),
            put(b, 1, price=7.5, available=False, currency="EUR", attributes_brand="Birch", attributes_color=("blue",)),
            put(
                c,
                1,
                price=20.0,
                available=True,
                attributes_count=3,
                attributes_color="red",
                attributes_sizes=(40, 42.5),
            ),
        ]
    )
    cases: list[tuple[Condition, set[ProductKey]]] = [
        (AnyOf("attributes.brand", ("Arbour",)), {a}),
        (AnyOf("attributes.brand", ("Arbour", "Birch", "Cedar")), {a, b}),
        (AnyOf("attributes.brand", ("arbour",)), set()),
        (AnyOf("attributes.color", ("red",)), {a, c}),
        (AnyOf("attributes.color", ("red", "blue")), {a, b, c}),
        (AnyOf("attributes.none", ("x",)), set()),
        (AnyOf("available", (True,)), {a, c}),
        (AnyOf("available", (False,)), {b}),
        (AnyOf("available", (True, False)), {a, b, c}),
        (AnyOf("currency", ("EUR",)), {a, b}),
        (AnyOf("price", (5.0,)), {a}),
        (AnyOf("price", (5,)), {a}),
        (AnyOf("price", (5, 7.5, "x")), {a, b}),
        (AnyOf("attributes.count", (3,)), {c}),
        (AnyOf("attributes.count", (3.0,)), {c}),
        (AnyOf("attributes.count", ("3",)), set()),
        (AnyOf("attributes.count", (True,)), set()),
        (AnyOf("attributes.sizes", (42.5,)), {c}),
        (Range("attributes.sizes", gt=41), {c}),
        (Range("price", gte=5, lt=20), {a, b}),
        (Range("price", gt=5, lte=20), {b, c}),
        (Range("price", lt=5), set()),
        (Range("attributes.brand", gte=0), set()),
        (AnyOf("tenant", ("shop",)), {a, b, c}),
        (AnyOf("tenant", ("other",)), set()),
        (Not(AnyOf("attributes.brand", ("Arbour",))), {b, c}),
        (Not(AnyOf("attributes.color", ("blue", "green"))), {c}),
        (Not(Range("price", gte=7)), {a}),
        (Not(Range("attributes.count", gte=7)), {a, b, c}),
        (Exists("attributes.count"), {c}),
        (Not(Exists("attributes.brand")), {c}),
        (Exists("attributes.none"), set()),
        (Exists("price"), {a, b, c}),
        (Not(Exists("currency")), {c}),
    ]
    for condition, wanted in cases:
        assert await found(subject, condition) == {k.id for k in wanted}, condition
    assert await found(subject, AnyOf("available", (True,)), Range("price", gte=10)) == {c.id}


@pytest.mark.parametrize("name", ["screen size", "a.b", "größe", "x[0]", "it's", "a-b_c"])
async def test_attributes_of_any_name_can_be_filtered_on(subject: Subject, name: str) -> None:
    a, b = keys(2)
    said = ProductState(base=VersionStamp(1, 0, "x"), live=True, fields={f"attributes.{name}": "yes"})
    await subject.index.write([ProductWrite(a, None, payload(said), vectors("a")), put(b, 1)])
    assert await found(subject, AnyOf(f"attributes.{name}", ("yes",))) == {a.id}
    assert (await subject.index.known([a]))[a].state == said


async def test_hits_come_best_first_and_no_more_than_asked_for(subject: Subject) -> None:
    shelf = keys(30)
    await subject.index.write([put(k, 1) for k in shelf])
    for using in (FUSED, IMAGE):
        query = unit("another query", SPACE.vectors[using])
        scores = {k: float(vectors(k.id)[using] @ query) for k in shelf}
        best = sorted(shelf, key=lambda k: -scores[k])
        hits = await subject.shelf.search(IndexQuery(vector=query, using=using, limit=7))
        assert [h.key for h in hits] == best[:7]
        assert [h.score for h in hits] == pytest.approx([scores[k] for k in best[:7]], abs=1e-5)
        assert not {"clock", "revision", "fingerprint"} & set(hits[0].payload)


async def test_equal_ids_of_two_tenants_are_two_products(subject: Subject) -> None:
    pairs = [
        ProductKey("a", "1"),
        ProductKey("b", "1"),
        ProductKey("a", "b:c"),
        ProductKey("a:b", "c"),
        ProductKey("", "a"),
        ProductKey("a", ""),
    ]
    await subject.index.write([put(k, n + 1, title=repr(k)) for n, k in enumerate(pairs)])
    for key in pairs:
        seen = await subject.shelf.get(key)
        assert seen is not None
        assert seen["title"] == repr(key)
    hits = await subject.shelf.search(IndexQuery(vector=unit("q", 8), limit=9, conditions=(AnyOf("tenant", ("a",)),)))
    assert {h.key for h in hits} == {k for k in pairs if k.tenant == "a"}
    assert await subject.shelf.count() == len(pairs)


@pytest.mark.parametrize(
    "id_", ["", " ", "a/b?c=d&e", "ключ", "☕" * 40, "\x00\n\t", '"quoted"', "x" * 5000, "\\u0000"]
)
async def test_ids_of_any_characters(subject: Subject, id_: str) -> None:
    key = ProductKey("shöp/1", id_)
    assert not (await subject.index.write([put(key, 1)])).invalid
    assert set(await subject.index.known([key])) == {key}
    (hit,) = await subject.shelf.search(IndexQuery(vector=unit("q", 8), limit=5))
    assert hit.key == key


async def test_a_batch_larger_than_any_request(subject: Subject) -> None:
    shelf = keys(600)
    write = [put(k, 1, title="t" * 20_000) for k in shelf]
    outcome = await subject.index.write(write)
    assert (outcome.moved, outcome.invalid) == (frozenset(), {})
    assert await subject.shelf.count() == 600
    assert len(await subject.index.known(shelf)) == 600
    patched = [patch(w.key, 2, expect=revision(w), price=1.0) for w in write]
    assert not (await subject.index.write(patched)).moved
    assert await subject.shelf.count([AnyOf("price", (1.0,))]) == 600


EXPECTS = st.sampled_from(["right", "right", "right", "missing", "stale"])
STEP = st.tuples(st.sampled_from(["put", "patch", "bury"]), EXPECTS)
BATCHES = st.lists(st.dictionaries(st.integers(0, 4), STEP, min_size=1), min_size=1, max_size=8)


@given(batches=BATCHES)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_sequence_of_guarded_writes_does_what_a_dict_would(
    subject: Subject, batches: list[dict[int, tuple[str, str]]]
) -> None:
    shelf = keys(5, tenant=uuid4().hex)
    there: dict[ProductKey, ProductWrite] = {}
    for version, batch in enumerate(batches, start=1):
        writes, wrong = [], set()
        for n, (kind, expects) in batch.items():
            key = shelf[n]
            current = revision(there[key]) if key in there else None
            expect = {"right": current, "missing": None, "stale": "stale"}[expects]
            make = {"put": put, "patch": patch, "bury": tombstone}[kind]
            write = make(key, 2 * version, expect=expect)
            writes.append(write)
            if expect != current or (kind == "patch" and current is None):
                wrong.add(key)
            elif kind == "patch":
                there[key] = replace(write, vectors=there[key].vectors)
            else:
                there[key] = write
        assert (await subject.index.write(writes)).moved == wrong
    known = await subject.index.known(shelf)
    assert {k: v.revision for k, v in known.items()} == {k: revision(w) for k, w in there.items()}
    with_vectors = {k for k, w in there.items() if w.payload["live"] and w.vectors}
    mine = [AnyOf("tenant", (shelf[0].tenant,))]
    hits = await subject.shelf.search(IndexQuery(vector=unit("q", 8), limit=9, conditions=tuple(mine)))
    assert {h.key for h in hits} == with_vectors
    assert await subject.shelf.count(mine) == sum(w.payload["live"] for w in there.values())
