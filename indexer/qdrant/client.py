"""The few calls about points we make, on the generated gRPC stubs: converting to and from the client's models
costs more than the calls themselves where a query has thousands of hits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from qdrant_client import AsyncQdrantClient, grpc

from catalog.errors import FatalError
from indexer.qdrant.errors import InvalidRequest, calls
from resilience.circuit_breaker import Circuit

# A guard holds on every replica alike only if one node puts all writes of a shard in order.
ORDERING = grpc.WriteOrdering(type=grpc.WriteOrderingType.Strong)


class PointsClient:
    """The points of one collection or alias. `timeout_s` is the deadline of every call.

    All calls go through one circuit breaker, so who shares this object leaves a Qdrant that is down alone together.
    Every method raises Unavailable, FatalError, and InvalidRequest for a request that Qdrant calls invalid.
    """

    def __init__(self, client: AsyncQdrantClient, *, collection: str, timeout_s: float) -> None:
        self._client = client
        self._collection = collection
        self._timeout = timeout_s
        self._circuit = Circuit("Qdrant")

    async def get(
        self, ids: Collection[str], *, payload: grpc.WithPayloadSelector, vectors: bool | Sequence[str] = False
    ) -> dict[str, grpc.RetrievedPoint]:
        """The points there are, by id, with all their vectors or those named.

        Raises FatalError where even this is refused: it is never a product's fault.
        """
        request = grpc.GetPoints(
            collection_name=self._collection,
            ids=[grpc.PointId(uuid=i) for i in ids],
            with_payload=payload,
            with_vectors=_vectors(vectors),
        )
        try:
            with self._asking("read points"):
                response = await self._stub.Get(request, timeout=self._timeout)
        except InvalidRequest as error:
            raise FatalError(f"Qdrant refuses to read points of {self._collection!r}: {error}") from error
        return {point.id.uuid: point for point in response.result}

    async def write(
        self, *, new: Sequence[grpc.PointStruct], changed: Sequence[grpc.PointStruct], only_if: grpc.Filter
    ) -> None:
        """Write points whole: of `new` those that do not exist, of `changed` those that exist and match.

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
        with self._asking("write points"):
            await self._stub.UpdateBatch(request, timeout=self._timeout)

    async def query(self, request: grpc.QueryPoints) -> Sequence[grpc.ScoredPoint]:
        """The best points for a query, which names no collection; best first."""
        request.collection_name = self._collection
        with self._asking("search"):
            response = await self._stub.Query(request, timeout=self._timeout)
        found: Sequence[grpc.ScoredPoint] = response.result
        return found

    async def query_batch(self, requests: Sequence[grpc.QueryPoints]) -> list[Sequence[grpc.ScoredPoint]]:
        """The best points for each of several queries, in one call."""
        for request in requests:
            request.collection_name = self._collection
        batch = grpc.QueryBatchPoints(collection_name=self._collection, query_points=requests)
        with self._asking("search"):
            response = await self._stub.QueryBatch(batch, timeout=self._timeout)
        return [each.result for each in response.result]

    async def count(self, where: grpc.Filter) -> int:
        """How many points match, exactly."""
        request = grpc.CountPoints(collection_name=self._collection, filter=where, exact=True)
        with self._asking("count points"):
            response = await self._stub.Count(request, timeout=self._timeout)
        return int(response.result.count)

    async def scroll(
        self, where: grpc.Filter, *, limit: int, payload: grpc.WithPayloadSelector
    ) -> AsyncGenerator[Sequence[grpc.RetrievedPoint], None]:
        """The points that match, page by page in the order of their ids; none is seen twice."""
        request = grpc.ScrollPoints(
            collection_name=self._collection, filter=where, limit=limit, with_payload=payload, with_vectors=_NO_VECTORS
        )
        while True:
            with self._asking("list points"):
                response = await self._stub.Scroll(request, timeout=self._timeout)
            if response.result:
                yield response.result
            if not response.HasField("next_page_offset"):
                return
            request.offset.CopyFrom(response.next_page_offset)

    async def facet(self, path: str, where: grpc.Filter, *, limit: int) -> Sequence[grpc.FacetHit]:
        """The values of an indexed payload field among the points that match, and how many have each, exactly."""
        request = grpc.FacetCounts(collection_name=self._collection, key=path, filter=where, limit=limit, exact=True)
        with self._asking("count the values of a field"):
            response = await self._stub.Facet(request, timeout=self._timeout)
        found: Sequence[grpc.FacetHit] = response.hits
        return found

    async def indexes(self) -> dict[str, int]:
        """The payload indexes by path, each a grpc.PayloadSchemaType."""
        request = grpc.GetCollectionInfoRequest(collection_name=self._collection)
        with self._asking("read the collection"):
            response = await self._client.grpc_collections.Get(request, timeout=self._timeout)
        return {path: info.data_type for path, info in response.result.payload_schema.items()}

    async def highest(
        self, field: str, where: grpc.Filter, *, limit: int, payload: grpc.WithPayloadSelector
    ) -> Sequence[grpc.RetrievedPoint]:
        """The points that match, by an indexed number, the highest first."""
        request = grpc.ScrollPoints(
            collection_name=self._collection,
            filter=where,
            limit=limit,
            with_payload=payload,
            with_vectors=_NO_VECTORS,
            order_by=grpc.OrderBy(key=field, direction=grpc.Direction.Desc),
        )
        with self._asking("list points"):
            response = await self._stub.Scroll(request, timeout=self._timeout)
        found: Sequence[grpc.RetrievedPoint] = response.result
        return found

    async def delete(self, where: grpc.Filter) -> None:
        """Delete the points that match when it is applied. Applied when it returns."""
        request = grpc.DeletePoints(
            collection_name=self._collection,
            points=grpc.PointsSelector(filter=where),
            wait=True,
            ordering=ORDERING,
        )
        with self._asking("delete points"):
            await self._stub.Delete(request, timeout=self._timeout)

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        with self._circuit.guard(), calls(what):
            yield

    @property
    def _stub(self) -> Any:  # the generated stubs are made at run time and have no types
        return self._client.grpc_points


def including(*fields: str) -> grpc.WithPayloadSelector:
    return grpc.WithPayloadSelector(include=grpc.PayloadIncludeSelector(fields=fields))


def excluding(*fields: str) -> grpc.WithPayloadSelector:
    return grpc.WithPayloadSelector(exclude=grpc.PayloadExcludeSelector(fields=fields))


def _vectors(wanted: bool | Sequence[str]) -> grpc.WithVectorsSelector:
    if isinstance(wanted, bool):
        return grpc.WithVectorsSelector(enable=wanted)
    return grpc.WithVectorsSelector(include=grpc.VectorsSelector(names=wanted))


EVERYTHING = grpc.WithPayloadSelector(enable=True)
NOTHING = grpc.WithPayloadSelector(enable=False)
_NO_VECTORS = grpc.WithVectorsSelector(enable=False)
