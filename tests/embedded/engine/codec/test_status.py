"""The engine refuses unsupported requests by name, and invalid ones with the status of a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as pb

from embedded.engine.process import EngineProcess
from tests.embedded.engine.shelves import DIM, refusal, vector


@pytest.fixture(scope="module")
def channel(engine: EngineProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{engine.port}") as channel:
        yield channel


ELSEWHERE = models.LookupLocation(collection="x")
LIKE_ONE = models.RecommendQuery(recommend=models.RecommendInput(positive=[1]))
DOUBLED = models.FormulaQuery(formula=models.MultExpression(mult=["$score", 2.0]))
NOTHING = models.VectorParams(size=0, distance=models.Distance.DOT)


def near(**more: Any) -> models.QueryRequest:
    return models.QueryRequest(query=vector(1), using="fused", **more)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda c, s: c.list_snapshots(s), "Snapshots.List"),
        (lambda c, s: c.create_snapshot(s), "Snapshots.Create"),
        (lambda c, s: c.update_collection(s, hnsw_config=models.HnswConfigDiff(m=4)), "UpdateCollection"),
        (lambda c, s: c.query_points_groups(s, group_by="a", query=vector(1), using="fused"), "QueryPointGroups"),
        (lambda c, s: c.search_matrix_pairs(s, using="fused"), "SearchMatrixPoints"),
        (lambda c, s: c.create_shard_key(s, "a"), "CreateShardKeyRequest"),
        (lambda c, s: c.query_batch_points(s, [near(lookup_from=ELSEWHERE)]), "QueryPoints.lookup_from"),
        (lambda c, s: c.query_batch_points(s, [near(shard_key="a")]), "QueryPoints.shard_key_selector"),
        (lambda c, s: c.query_batch_points(s, [near()], consistency=2), "QueryBatchPoints.read_consistency"),
        (lambda c, s: c.retrieve(s, [1], shard_key_selector="a"), "GetPoints.shard_key_selector"),
        (lambda c, s: c.scroll(s, consistency=2), "ScrollPoints.read_consistency"),
        (lambda c, s: c.count(s, shard_key_selector="a"), "CountPoints.shard_key_selector"),
        (lambda c, s: c.facet(s, "a", consistency=2), "FacetCounts.read_consistency"),
        (lambda c, s: c.delete(s, [1], shard_key_selector="a"), "DeletePoints.shard_key_selector"),
        (lambda c, s: c.query_points(s, query=LIKE_ONE, using="fused"), "Query.recommend"),
        (lambda c, s: c.query_points(s, query=DOUBLED), "Query.formula"),
        (lambda c, s: c.create_payload_index(s, "t", models.PayloadSchemaType.TEXT), "payload index of type text"),
        (lambda c, s: c.create_payload_index(s, "t", models.PayloadSchemaType.GEO), "payload index of type geo"),
        (
            lambda c, s: c.create_collection("no", vectors_config=models.VectorParams(
                size=4, distance=models.Distance.DOT,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM))),
            "VectorParams.multivector_config",
        ),
        (
            lambda c, s: c.create_collection("no", vectors_config={}, sharding_method=models.ShardingMethod.CUSTOM),
            "sharding_method Custom",
        ),
        (
            lambda c, s: c.create_collection("no", strict_mode_config=models.StrictModeConfig(enabled=True)),
            "CreateCollection.strict_mode_config",
        ),
        (
            lambda c, s: c.create_collection("no", quantization_config=models.ProductQuantization(
                product=models.ProductQuantizationConfig(compression=models.CompressionRatio.X4)),
                vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT)),
            "QuantizationConfig.product",
        ),
        (
            lambda c, s: c.count(s, models.Filter(must=[models.FieldCondition(
                key="at", geo_radius=models.GeoRadius(center=models.GeoPoint(lon=1, lat=1), radius=1))])),
            "FieldCondition.geo_radius",
        ),
    ],
)  # fmt: skip
def test_what_is_not_spoken_is_refused_by_name(
    client: QdrantClient, shelf: str, call: Callable[[QdrantClient, str], Any], name: str
) -> None:
    with refusal("UNIMPLEMENTED", "the embedded engine does not support", name, "run a Qdrant server for it"):
        call(client, shelf)
    assert not client.collection_exists("no")


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("Recommend", pb.RecommendPoints()),
        ("Discover", pb.DiscoverPoints()),
        ("Search", pb.SearchPoints()),
        ("CreateVectorName", pb.CreateVectorNameRequest()),
    ],
)
def test_methods_of_older_clients_are_refused_by_name(channel: grpc.Channel, method: str, request_: Any) -> None:
    with refusal("UNIMPLEMENTED", f"Points.{method}", type(request_).__name__):
        getattr(pb.PointsStub(channel), method)(request_)


def test_a_field_newer_than_the_engine_is_refused(channel: grpc.Channel, shelf: str) -> None:
    newer = pb.CountPoints.FromString(pb.CountPoints(collection_name=shelf).SerializeToString() + b"\xf8\x07\x01")
    with refusal("UNIMPLEMENTED", "CountPoints field 127"):
        pb.PointsStub(channel).Count(newer)
    empty = pb.Filter(must=[pb.Condition()])
    with refusal("INVALID_ARGUMENT", "Condition"):
        pb.PointsStub(channel).Count(pb.CountPoints(collection_name=shelf, filter=empty))
    untested = pb.Filter(must=[pb.Condition(field=pb.FieldCondition(key="a"))])
    with refusal("INVALID_ARGUMENT", "'a'", "one test"):
        pb.PointsStub(channel).Count(pb.CountPoints(collection_name=shelf, filter=untested))


def test_only_the_engines_own_embedder_is_spoken(channel: grpc.Channel, shelf: str) -> None:
    document = pb.Document(text="a", model="some/model")
    query = pb.Query(nearest=pb.VectorInput(document=document))
    with refusal("UNIMPLEMENTED", "some/model", "words"):
        pb.PointsStub(channel).Query(pb.QueryPoints(collection_name=shelf, query=query, using="words"))


def point(vector: Any, **payload: Any) -> models.PointStruct:
    return models.PointStruct(id=7, vector=vector, payload=payload)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda c, s: c.upsert(s, [point({"fused": [1.0]})]), [f"expected dim: {DIM}, got 1", "point 7", "fused"]),
        (lambda c, s: c.upsert(s, [point({"nope": vector(1)})]), ["nope", "point 7"]),
        (lambda c, s: c.upsert(s, [point(vector(1))]), ["Not existing vector name", "point 7"]),
        (lambda c, s: c.upsert(s, [point({"words": vector(1)})]), ["words", "sparse"]),
        (lambda c, s: c.upsert(s, [point({"fused": vector(1)}, price=float("nan"))]), ["nan"]),
        (lambda c, s: c.upsert(s, []), ["Empty"]),
        (lambda c, s: c.retrieve(s, ["not-a-uuid"]), ["not-a-uuid"]),
        (lambda c, s: c.query_points(s, query=[1.0], using="fused"), [f"expected dim: {DIM}, got 1"]),
        (lambda c, s: c.query_points(s, query=vector(1), using="nope"), ["nope"]),
        (lambda c, s: c.query_points(s, query=vector(1)), ["Not existing vector name"]),
        (lambda c, s: c.count(s, models.Filter(must=[models.FieldCondition(key="a[", is_null=True)])), ["a["]),
        (lambda c, s: c.create_collection("no", vectors_config=NOTHING), ["size 0"]),
        (lambda c, s: c.create_collection("no"), ["at least one vector"]),
        (lambda c, s: c.delete_vectors(s, ["nope"], points=[1]), ["nope"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_an_invalid_argument(
    client: QdrantClient, shelf: str, call: Callable[[QdrantClient, str], Any], words: list[str]
) -> None:
    with refusal("INVALID_ARGUMENT", *words):
        call(client, shelf)
    assert client.count(shelf).count == 0
    assert not client.collection_exists("no")


def test_one_bad_point_leaves_its_batch_unwritten(client: QdrantClient, shelf: str) -> None:
    good = models.PointStruct(id=1, vector={"fused": vector(1)})
    with refusal("INVALID_ARGUMENT", "point 7"):
        client.upsert(shelf, [good, point({"fused": [1.0]})])
    assert client.count(shelf).count == 0


def test_health_is_answered(channel: grpc.Channel) -> None:
    assert pb.QdrantStub(channel).HealthCheck(pb.HealthCheckRequest()).version
