"""The calls about points, on the generated gRPC stubs.

For a query with thousands of hits the conversion to the client's models costs more than the call itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from qdrant_client import AsyncQdrantClient, grpc

from catalog.errors import FatalError
from indexer.qdrant.errors import InvalidRequest, translated_errors
from resilience.circuit_breaker import Circuit

# All replicas evaluate a guard equally only if one node orders all writes of a shard.
ORDERING = grpc.WriteOrdering(type=grpc.WriteOrderingType.Strong)


class PointsClient:
    """The points of one collection or alias. `timeout_s` is the deadline of every call.

    All calls share one circuit breaker. Every method raises Unavailable, FatalError, and InvalidRequest if Qdrant calls
    the request invalid.
    """

    def __init__(self, client: AsyncQdrantClient, *, collection: str, timeout_s: float) -> None:
        self._client = client
        self._collection = collection
        self._timeout = timeout_s
        self._circuit = Circuit("Qdrant")

    async def get(
        self, ids: Collection[str], *, payload: grpc.WithPayloadSelector, vectors: bool | Sequence[str] = False
    ) -> dict[str, grpc.RetrievedPoint]:
        """The existing points by id, with no vectors, all vectors or the named ones.

        Raises FatalError instead of InvalidRequest: reading by id never fails because of a product.
        """
        request = grpc.GetPoints(
            collection_name=self._collection,
            ids=[grpc.PointId(uuid=i) for i in ids],
            with_payload=payload,
            with_vectors=_vectors_selector(vectors),
        )
        try:
            with self._translated_call("read points"):
                response = await self._stub.Get(request, timeout=self._timeout)
        except InvalidRequest as error:
            raise FatalError(f"Qdrant refuses to read points of {self._collection!r}: {error}") from error
        return {point.id.uuid: point for point in response.result}

    async def write(
        self, *, new: Sequence[grpc.PointStruct], changed: Sequence[grpc.PointStruct], only_if: grpc.Filter
    ) -> None:
        """Insert the points of `new` that do not exist, replace those of `changed` that exist and match `only_if`.

        Applied when it returns.
        """
        request = grpc.UpdateBatchPoints(collection_name=self._collection, wait=True, ordering=ORDERING)
        if new:
            upsert = request.operations.add().upsert
            upsert.update_mode = grpc.UpdateMode.InsertOnly
            upsert.points.extend(new)
        if changed:
            upsert = request.operations.add().upsert
            upsert.update_mode = grpc.UpdateMode.UpdateOnly
            upsert.update_filter.CopyFrom(only_if)
            upsert.points.extend(changed)
        with self._translated_call("write points"):
            await self._stub.UpdateBatch(request, timeout=self._timeout)

    async def query(self, request: grpc.QueryPoints) -> Sequence[grpc.ScoredPoint]:
        """The best points for a query without a collection name; best first."""
        request.collection_name = self._collection
        with self._translated_call("search"):
            response = await self._stub.Query(request, timeout=self._timeout)
        points: Sequence[grpc.ScoredPoint] = response.result
        return points

    async def query_batch(self, requests: Sequence[grpc.QueryPoints]) -> list[Sequence[grpc.ScoredPoint]]:
        """The best points for each of several queries, in one call."""
        for request in requests:
            request.collection_name = self._collection
        batch = grpc.QueryBatchPoints(collection_name=self._collection, query_points=requests)
        with self._translated_call("search"):
            response = await self._stub.QueryBatch(batch, timeout=self._timeout)
        return [result.result for result in response.result]

    async def count(self, where: grpc.Filter) -> int:
        """The exact number of points that match."""
        request = grpc.CountPoints(collection_name=self._collection, filter=where, exact=True)
        with self._translated_call("count points"):
            response = await self._stub.Count(request, timeout=self._timeout)
        return int(response.result.count)

    async def scroll(
        self, where: grpc.Filter, *, limit: int, payload: grpc.WithPayloadSelector
    ) -> AsyncGenerator[Sequence[grpc.RetrievedPoint], None]:
        """The points that match, page by page in the order of their ids, each once."""
        request = grpc.ScrollPoints(
            collection_name=self._collection, filter=where, limit=limit, with_payload=payload, with_vectors=_NO_VECTORS
        )
        while True:
            with self._translated_call("list points"):
                response = await self._stub.Scroll(request, timeout=self._timeout)
            if response.result:
                yield response.result
            if not response.HasField("next_page_offset"):
                return
            request.offset.CopyFrom(response.next_page_offset)

    async def facet(self, path: str, where: grpc.Filter, *, limit: int) -> Sequence[grpc.FacetHit]:
        """The values of an indexed payload field among the points that match, with exact counts."""
        request = grpc.FacetCounts(collection_name=self._collection, key=path, filter=where, limit=limit, exact=True)
        with self._translated_call("count the values of a field"):
            response = await self._stub.Facet(request, timeout=self._timeout)
        hits: Sequence[grpc.FacetHit] = response.hits
        return hits

    async def indexes(self) -> dict[str, int]:
        """The payload indexes by path, each a grpc.PayloadSchemaType."""
        request = grpc.GetCollectionInfoRequest(collection_name=self._collection)
        with self._translated_call("read the collection"):
            response = await self._client.grpc_collections.Get(request, timeout=self._timeout)
        return {path: info.data_type for path, info in response.result.payload_schema.items()}

    async def highest(
        self, field: str, where: grpc.Filter, *, limit: int, payload: grpc.WithPayloadSelector
    ) -> Sequence[grpc.RetrievedPoint]:
        """The points that match, sorted by an indexed number, highest first."""
        request = grpc.ScrollPoints(
            collection_name=self._collection,
            filter=where,
            limit=limit,
            with_payload=payload,
            with_vectors=_NO_VECTORS,
            order_by=grpc.OrderBy(key=field, direction=grpc.Direction.Desc),
        )
        with self._translated_call("list points"):
            response = await self._stub.Scroll(request, timeout=self._timeout)
        points: Sequence[grpc.RetrievedPoint] = response.result
        return points

    async def delete(self, where: grpc.Filter) -> None:
        """Delete the points that match at the time of the deletion. Applied when it returns."""
        request = grpc.DeletePoints(
            collection_name=self._collection,
            points=grpc.PointsSelector(filter=where),
            wait=True,
            ordering=ORDERING,
        )
        with self._translated_call("delete points"):
            await self._stub.Delete(request, timeout=self._timeout)

    @contextmanager
    def _translated_call(self, operation: str) -> Iterator[None]:
        with self._circuit.guard(), translated_errors(operation):
            yield

    @property
    def _stub(self) -> Any:  # the generated stubs are made at run time and have no types
        return self._client.grpc_points


def including(*fields: str) -> grpc.WithPayloadSelector:
    return grpc.WithPayloadSelector(include=grpc.PayloadIncludeSelector(fields=fields))


def excluding(*fields: str) -> grpc.WithPayloadSelector:
    return grpc.WithPayloadSelector(exclude=grpc.PayloadExcludeSelector(fields=fields))


def _vectors_selector(names: bool | Sequence[str]) -> grpc.WithVectorsSelector:
    if isinstance(names, bool):
        return grpc.WithVectorsSelector(enable=names)
    return grpc.WithVectorsSelector(include=grpc.VectorsSelector(names=names))


EVERYTHING = grpc.WithPayloadSelector(enable=True)
NOTHING = grpc.WithPayloadSelector(enable=False)
_NO_VECTORS = grpc.WithVectorsSelector(enable=False)
