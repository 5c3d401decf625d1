"""The contract of ProductWriter, and what a ProductReader then sees, for the fake and the real index."""

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
    """A state with fields named without a dot: `attributes_brand`, `price`."""
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
    fields_and_content = {**payload(state(version, **fields)), "title": title, "images": ["https://shop.example/1.jpg"]}
    return ProductWrite(key, expect, fields_and_content, vectors(key.id))


def patch(key: ProductKey, version: int, *, expect: str | None, **fields: Any) -> ProductWrite:
    return ProductWrite(key, expect, payload(state(version, **fields)))


def tombstone(key: ProductKey, version: int, *, expect: str | None) -> ProductWrite:
    return ProductWrite(key, expect, payload(state(version, live=False), fingerprint=None), {})


def revision(write: ProductWrite) -> str:
    value = write.payload["revision"]
    assert isinstance(value, str)
    return value


def keys(count: int, tenant: str = "shop") -> list[ProductKey]:
    return [ProductKey(tenant, f"sku-{n}") for n in range(count)]


async def matching_ids(subject: Subject, *conditions: Condition) -> set[str]:
    hits = await subject.shelf.search(IndexQuery(vector=unit("query", 8), limit=100, conditions=tuple(conditions)))
    assert len(hits) == await subject.shelf.count(conditions)
    return {hit.key.id for hit in hits}


async def test_an_empty_index_knows_nothing(subject: Subject) -> None:
    assert await subject.index.read_states(keys(3)) == {}
    assert await subject.index.read_states([]) == {}
    assert await subject.shelf.get(ProductKey("shop", "sku-0")) is None
    assert await matching_ids(subject) == set()


async def test_a_missing_point_is_inserted(subject: Subject) -> None:
    (key,) = keys(1)
    write = put(key, 1, price=12.5, currency="EUR", available=True, attributes_brand="Arbour", attributes_size=(1, 2))
    result = await subject.index.write([write])
    assert not result.conflicts
    assert not result.invalid
    seen = await subject.shelf.get(key)
    assert seen is not None
    assert seen["title"] == "a mug"
    assert seen["images"] == ["https://shop.example/1.jpg"]
    assert (seen["price"], seen["currency"], seen["available"]) == (12.5, "EUR", True)
    assert seen["attributes"] == {"brand": "Arbour", "size": [1, 2]}
    assert not {"clock", "revision", "fingerprint"} & set(seen)


async def test_nothing_to_write_is_nothing_done(subject: Subject) -> None:
    result = await subject.index.write([])
    assert (result.conflicts, result.invalid) == (frozenset(), {})


async def test_a_state_is_read_as_it_was_written(subject: Subject) -> None:
    key, unknown = keys(2)
    written = state(
        7, price=3.0, available=False, attributes_brand="Ä", attributes_n=2**53 + 1, attributes_tags=("a", "b")
    )
    written = replace(
        written, patched={"attributes.brand": VersionStamp(9, 0, "abc"), "price": VersionStamp(2**62, 1, "")}
    )
    write = ProductWrite(key, None, payload(written, fingerprint="f9"), vectors("x"))
    await subject.index.write([write])
    states = await subject.index.read_states([key, unknown])
    assert set(states) == {key}
    assert states[key].state == written
    assert (states[key].revision, states[key].fingerprint) == (revision(write), "f9")


async def test_a_state_without_a_base_comes_back(subject: Subject) -> None:
    (key,) = keys(1)
    waiting = ProductState(patched={"price": VersionStamp(5, 0, "aa")}, fields={"price": 4.0})
    await subject.index.write([ProductWrite(key, None, payload(waiting, fingerprint=None), {})])
    states = (await subject.index.read_states([key]))[key]
    assert states.state == waiting
    assert states.fingerprint is None
    assert await matching_ids(subject) == set()


async def test_one_batch_is_right_for_each_of_its_points(subject: Subject) -> None:
    right, stale, taken, new, gone = keys(5)
    first = [put(k, 1) for k in (right, stale, taken)]
    await subject.index.write(first)
    expected = revision(first[0])
    result = await subject.index.write(
        [
            put(right, 2, expect=expected, title="second"),
            put(stale, 2, expect="no such revision", title="second"),
            put(taken, 2, expect=None, title="second"),
            put(new, 2, expect=None, title="second"),
            put(gone, 2, expect=expected, title="second"),
        ]
    )
    assert result.conflicts == {stale, taken, gone}
    titles = {k: (p or {}).get("title") for k in keys(5) for p in [await subject.shelf.get(k)]}
    assert titles == {right: "second", stale: "a mug", taken: "a mug", new: "second", gone: None}


async def test_a_batch_of_new_points_leaves_the_existing_alone(subject: Subject) -> None:
    old, new = keys(2)
    await subject.index.write([put(old, 1)])
    result = await subject.index.write([put(old, 2, title="second"), put(new, 2, title="second")])
    assert result.conflicts == {old}
    seen = await subject.shelf.get(old)
    assert seen is not None
    assert seen["title"] == "a mug"


async def test_the_revision_of_another_point_is_a_conflict(subject: Subject) -> None:
    a, b = keys(2)
    first = [put(a, 1), put(b, 5)]
    await subject.index.write(first)
    swapped = [put(a, 9, expect=revision(first[1])), put(b, 9, expect=revision(first[0]))]
    assert (await subject.index.write(swapped)).conflicts == {a, b}


async def test_a_repeated_write_is_no_conflict(subject: Subject) -> None:
    put_key, patch_key = keys(2)
    first = [put(put_key, 1), put(patch_key, 1)]
    await subject.index.write(first)
    second = [put(put_key, 2, expect=revision(first[0])), patch(patch_key, 2, expect=revision(first[1]))]
    # Repeated as after a lost response: no point has the expected revision, all have the new one.
    for _ in range(2):
        assert not (await subject.index.write(second)).conflicts
    states = await subject.index.read_states(keys(2))
    assert [states[w.key].revision for w in second] == [revision(w) for w in second]


async def test_a_payload_only_write_keeps_the_rest(subject: Subject) -> None:
    (key,) = keys(1)
    first = put(key, 1, price=10.0)
    await subject.index.write([first])
    result = await subject.index.write([patch(key, 2, expect=revision(first), price=8.0)])
    assert not result.conflicts
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
    assert not (await subject.index.write([patch(key, 2, expect=revision(first), price=8.0)])).conflicts
    assert await matching_ids(subject, Range("price", lte=8.0)) == {key.id}
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
    assert (await subject.index.write(patches)).conflicts == {missing, surprise, moved_on}
    assert await subject.index.read_states([missing]) == {}
    assert await matching_ids(subject, Range("price", gte=3.0)) == set()


async def test_a_tombstone_is_hidden_but_known(subject: Subject) -> None:
    gone, stays, never = keys(3)
    first = [put(gone, 1), put(stays, 1)]
    await subject.index.write(first)
    buried = [tombstone(gone, 2, expect=revision(first[0])), tombstone(never, 2, expect=None)]
    assert not (await subject.index.write(buried)).conflicts
    assert await matching_ids(subject) == {stays.id}
    assert await subject.shelf.get(gone) is None
    states = await subject.index.read_states([gone, never])
    assert [states[k].state.live for k in (gone, never)] == [False, False]
    back = put(gone, 3, expect=revision(buried[0]))
    assert not (await subject.index.write([back])).conflicts
    assert await matching_ids(subject) == {gone.id, stays.id}


async def test_an_invalid_point_costs_its_neighbours_nothing(subject: Subject) -> None:
    good, flat, nan, inf, stranger, also_good = keys(6)
    broken = {
        flat: {FUSED: unit("x", 7)},
        nan: {FUSED: np.full(8, math.nan, dtype=np.float32)},
        inf: {**vectors("x"), IMAGE: np.array([1, 0, math.inf, 0], dtype=np.float32)},
        stranger: {"smell": unit("x", 8)},
    }
    writes = [put(good, 1), *(replace(put(k, 1), vectors=v) for k, v in broken.items()), put(also_good, 1)]
    result = await subject.index.write(writes)
    assert set(result.invalid) == set(broken)
    assert all(result.invalid.values())
    assert not result.conflicts
    assert await matching_ids(subject) == {good.id, also_good.id}


async def test_of_two_writers_one_wins_every_revision(subject: Subject) -> None:
    all_keys = keys(20)
    for version in range(1, 8):
        states = await subject.index.read_states(all_keys)
        expect = {k: states[k].revision if k in states else None for k in all_keys}
        sides = [
            [put(k, 10 * version + side, expect=expect[k], title=str(side)) for k in all_keys] for side in range(2)
        ]
        results = await asyncio.gather(subject.index.write(sides[0]), subject.rival.write(sides[1][::-1]))
        after = await subject.index.read_states(all_keys)
        for n, key in enumerate(all_keys):
            winners = [side for side in range(2) if key not in results[side].conflicts]
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
    for condition, expected in cases:
        assert await matching_ids(subject, condition) == {k.id for k in expected}, condition
    assert await matching_ids(subject, AnyOf("available", (True,)), Range("price", gte=10)) == {c.id}


@pytest.mark.parametrize("name", ["screen size", "a.b", "größe", "x[0]", "it's", "a-b_c"])
async def test_attributes_of_any_name_can_be_filtered_on(subject: Subject, name: str) -> None:
    a, b = keys(2)
    written = ProductState(base=VersionStamp(1, 0, "x"), live=True, fields={f"attributes.{name}": "yes"})
    await subject.index.write([ProductWrite(a, None, payload(written), vectors("a")), put(b, 1)])
    assert await matching_ids(subject, AnyOf(f"attributes.{name}", ("yes",))) == {a.id}
    assert (await subject.index.read_states([a]))[a].state == written


async def test_hits_come_best_first_and_no_more_than_asked_for(subject: Subject) -> None:
    all_keys = keys(30)
    await subject.index.write([put(k, 1) for k in all_keys])
    for using in (FUSED, IMAGE):
        query = unit("another query", SPACE.vectors[using])
        scores = {k: float(vectors(k.id)[using] @ query) for k in all_keys}
        best = sorted(all_keys, key=lambda k: -scores[k])
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
    assert set(await subject.index.read_states([key])) == {key}
    (hit,) = await subject.shelf.search(IndexQuery(vector=unit("q", 8), limit=5))
    assert hit.key == key


async def test_a_batch_larger_than_any_request(subject: Subject) -> None:
    all_keys = keys(600)
    write = [put(k, 1, title="t" * 20_000) for k in all_keys]
    result = await subject.index.write(write)
    assert (result.conflicts, result.invalid) == (frozenset(), {})
    assert await subject.shelf.count() == 600
    assert len(await subject.index.read_states(all_keys)) == 600
    patched = [patch(w.key, 2, expect=revision(w), price=1.0) for w in write]
    assert not (await subject.index.write(patched)).conflicts
    assert await subject.shelf.count([AnyOf("price", (1.0,))]) == 600


EXPECTS = st.sampled_from(["right", "right", "right", "missing", "stale"])
STEP = st.tuples(st.sampled_from(["put", "patch", "bury"]), EXPECTS)
BATCHES = st.lists(st.dictionaries(st.integers(0, 4), STEP, min_size=1), min_size=1, max_size=8)


@given(batches=BATCHES)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_sequence_of_guarded_writes_does_what_a_dict_would(
    subject: Subject, batches: list[dict[int, tuple[str, str]]]
) -> None:
    all_keys = keys(5, tenant=uuid4().hex)
    model: dict[ProductKey, ProductWrite] = {}
    for version, batch in enumerate(batches, start=1):
        writes, wrong = [], set()
        for n, (kind, expects) in batch.items():
            key = all_keys[n]
            current = revision(model[key]) if key in model else None
            expect = {"right": current, "missing": None, "stale": "stale"}[expects]
            make = {"put": put, "patch": patch, "bury": tombstone}[kind]
            write = make(key, 2 * version, expect=expect)
            writes.append(write)
            if expect != current or (kind == "patch" and current is None):
                wrong.add(key)
            elif kind == "patch":
                model[key] = replace(write, vectors=model[key].vectors)
            else:
                model[key] = write
        assert (await subject.index.write(writes)).conflicts == wrong
    states = await subject.index.read_states(all_keys)
    assert {k: v.revision for k, v in states.items()} == {k: revision(w) for k, w in model.items()}
    with_vectors = {k for k, w in model.items() if w.payload["live"] and w.vectors}
    mine = [AnyOf("tenant", (all_keys[0].tenant,))]
    hits = await subject.shelf.search(IndexQuery(vector=unit("q", 8), limit=9, conditions=tuple(mine)))
    assert {h.key for h in hits} == with_vectors
    assert await subject.shelf.count(mine) == sum(w.payload["live"] for w in model.values())
