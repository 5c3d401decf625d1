"""Queries, pages, counts and facets through qdrant-client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from qdrant_client import QdrantClient, models

from tests.embedded.engine.shelves import make_collection, refusal, vector

COLORS = ["red", "blue", "green"]
GREEN = set(range(2, 31, 3))


@pytest.fixture(scope="module")
def stock(client: QdrantClient) -> Iterator[str]:
    """Thirty points: color by threes, price = id / 2, sold on the id-th of January, tags on every second."""
    name = make_collection(client)
    client.create_payload_index(name, "color", models.KeywordIndexParams(type="keyword", is_tenant=True))
    client.create_payload_index(name, "n", models.PayloadSchemaType.INTEGER)
    client.create_payload_index(name, "price", models.PayloadSchemaType.FLOAT)
    client.create_payload_index(name, "even", models.PayloadSchemaType.BOOL)
    client.create_payload_index(name, "sold", models.PayloadSchemaType.DATETIME)
    points = [
        models.PointStruct(
            id=n,
            vector={"fused": vector(n), "words": models.SparseVector(indices=[n, 100], values=[1.0, 0.1])},
            payload={
                "n": n,
                "color": COLORS[n % 3],
                "price": n / 2,
                "even": n % 2 == 0,
                "sold": datetime(2026, 1, n, tzinfo=UTC).isoformat(),
                "tags": ["sale", f"t{n}"] if n % 2 == 0 else [],
                "parts": [{"kind": "sleeve", "count": n}],
            },
        )
        for n in range(1, 31)
    ]
    client.upsert(name, points)
    yield name
    client.delete_collection(name)


def where(**match: object) -> models.Filter:
    return models.Filter(
        must=[models.FieldCondition(key=key, match=models.MatchValue(value=value)) for key, value in match.items()]
    )


def test_the_nearest_come_first_and_in_pages(client: QdrantClient, stock: str) -> None:
    everything = client.query_points(stock, query=vector(4), using="fused", limit=30, with_payload=False).points
    assert everything[0].id == 4
    assert everything[0].score == pytest.approx(1)
    assert not everything[0].payload
    scores = [hit.score for hit in everything]
    assert scores == sorted(scores, reverse=True)
    page = client.query_points(stock, query=vector(4), using="fused", limit=5, offset=10).points
    assert [hit.id for hit in page] == [hit.id for hit in everything[10:15]]
    good = client.query_points(stock, query=vector(4), using="fused", limit=30, score_threshold=scores[8]).points
    assert [hit.id for hit in good] == [hit.id for hit in everything[:8]]  # better than it, not equal


def test_a_query_takes_a_filter_selectors_and_search_parameters(client: QdrantClient, stock: str) -> None:
    found = client.query_points(
        stock, query=vector(4), using="fused", limit=30, query_filter=where(color="blue"), with_payload=["n"],
        with_vectors=["fused"], search_params=models.SearchParams(exact=True, hnsw_ef=64),
    ).points  # fmt: skip
    assert {hit.id for hit in found} == set(range(1, 31, 3))
    assert found[0].payload == {"n": 4}
    assert isinstance(found[0].vector, dict)
    assert set(found[0].vector) == {"fused"}


def test_a_stored_point_can_be_the_query_and_is_not_its_own_hit(client: QdrantClient, stock: str) -> None:
    by_id = client.query_points(stock, query=4, using="fused", limit=5, query_filter=where(color="blue")).points
    by_vector = client.query_points(stock, query=vector(4), using="fused", limit=6, query_filter=where(color="blue"))
    assert [hit.id for hit in by_id] == [hit.id for hit in by_vector.points[1:]]
    with refusal("NOT_FOUND", "99"):
        client.query_points(stock, query=99, using="fused")


def test_several_queries_in_one_request(client: QdrantClient, stock: str) -> None:
    requests = [models.QueryRequest(query=vector(n), using="fused", limit=2) for n in (3, 9)]
    requests.append(models.QueryRequest(query=9, using="fused", limit=1))
    found = client.query_batch_points(stock, requests)
    assert [response.points[0].id for response in found][:2] == [3, 9]
    assert found[2].points[0].id == found[1].points[1].id


def test_dense_and_sparse_are_fused(client: QdrantClient, stock: str) -> None:
    words = models.SparseVector(indices=[9], values=[1.0])
    (hit,) = client.query_points(stock, query=words, using="words").points
    assert hit.id == 9
    prefetch = [
        models.Prefetch(query=vector(4), using="fused", limit=5),
        models.Prefetch(query=words, using="words", limit=5),
    ]
    for fusion in (models.FusionQuery(fusion=models.Fusion.RRF), models.RrfQuery(rrf=models.Rrf(weights=[1, 3]))):
        found = client.query_points(stock, prefetch=prefetch, query=fusion, limit=3).points
        assert {hit.id for hit in found[:2]} == {4, 9}


def test_words_stand_in_for_a_sparse_vector(client: QdrantClient, shelf: str) -> None:
    def document(text: str) -> models.Document:
        return models.Document(text=text, model="qdrant/bm25")

    titles = {1: "red wool sweater", 2: "blue cotton shirt"}
    client.upsert(
        shelf, [models.PointStruct(id=n, vector={"words": document(title)}, payload={}) for n, title in titles.items()]
    )
    found = client.query_points(shelf, query=document("cotton shirts"), using="words").points
    assert [hit.id for hit in found] == [2]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (models.FieldCondition(key="n", range=models.Range(gte=3, lt=5)), {3, 4}),
        (models.FieldCondition(key="price", range=models.Range(gt=14.5)), {30}),
        (models.FieldCondition(key="sold", range=models.DatetimeRange(lte=datetime(2026, 1, 2, tzinfo=UTC))), {1, 2}),
        (models.FieldCondition(key="color", match=models.MatchAny(any=["red", "blue"])), set(range(1, 31)) - GREEN),
        (models.FieldCondition(key="color", match=models.MatchExcept(**{"except": ["red", "blue"]})), GREEN),
        (models.FieldCondition(key="n", match=models.MatchAny(any=[1, 2])), {1, 2}),
        (models.FieldCondition(key="even", match=models.MatchValue(value=False)), set(range(1, 31, 2))),
        (models.FieldCondition(key="tags", match=models.MatchValue(value="t8")), {8}),
        (models.FieldCondition(key="tags", values_count=models.ValuesCount(gte=1)), set(range(2, 31, 2))),
        (models.IsEmptyCondition(is_empty=models.PayloadField(key="tags")), set(range(1, 31, 2))),
        (models.IsNullCondition(is_null=models.PayloadField(key="color")), set()),
        (models.HasIdCondition(has_id=[2, 77]), {2}),
        (models.HasVectorCondition(has_vector="fused"), set(range(1, 31))),
        (
            models.NestedCondition(
                nested=models.Nested(
                    key="parts",
                    filter=models.Filter(must=[models.FieldCondition(key="count", range=models.Range(lt=3))]),
                )
            ),
            {1, 2},
        ),
        (models.Filter(must_not=[models.FieldCondition(key="n", range=models.Range(gt=1))]), {1}),
        (
            models.Filter(
                min_should=models.MinShould(
                    conditions=[*where(color="red").must, *where(even=True).must, *where(n=6).must], min_count=3
                )
            ),
            {6},
        ),
    ],
)  # fmt: skip
def test_a_condition_finds_what_it_says(
    client: QdrantClient, stock: str, condition: models.Condition, expected: set[int]
) -> None:
    records, _ = client.scroll(stock, models.Filter(must=[condition]), limit=100, with_payload=False)
    assert {record.id for record in records} == expected
    assert client.count(stock, models.Filter(must=[condition])).count == len(expected)


def test_scrolling_goes_page_by_page(client: QdrantClient, stock: str) -> None:
    seen: list[int | str] = []
    offset: object = None
    while True:
        records, offset = client.scroll(stock, limit=7, offset=offset)
        seen += [record.id for record in records]
        if offset is None:
            break
    assert seen == list(range(1, 31))


def test_scrolling_may_follow_an_indexed_field(client: QdrantClient, stock: str) -> None:
    order = models.OrderBy(key="price", direction=models.Direction.DESC, start_from=5.0)
    records, _ = client.scroll(stock, limit=3, order_by=order)
    assert [(record.id, record.order_value) for record in records] == [(10, 5.0), (9, 4.5), (8, 4.0)]
    with refusal("INVALID_ARGUMENT", "tags"):
        client.scroll(stock, order_by="tags")


def test_facets_count_the_values_of_an_indexed_field(client: QdrantClient, stock: str) -> None:
    hits = client.facet(stock, "color", exact=True).hits
    assert {hit.value: hit.count for hit in hits} == dict.fromkeys(COLORS, 10)
    hits = client.facet(stock, "n", facet_filter=where(color="red"), limit=2, exact=True).hits
    assert [hit.count for hit in hits] == [1, 1]
    assert {repr(hit.value): hit.count for hit in client.facet(stock, "even").hits} == {"True": 15, "False": 15}
    with refusal("INVALID_ARGUMENT", "price"):
        client.facet(stock, "price")
