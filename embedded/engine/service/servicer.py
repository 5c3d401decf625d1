"""The calls of Qdrant's gRPC interface that the engine answers, their threads, and the refusal of the others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from qdrant_client import grpc as pb
from qdrant_client.grpc import collections_service_pb2, points_service_pb2, qdrant_pb2, snapshots_service_pb2

from embedded.engine.codec.status import StatusError, from_engine, unsupported
from embedded.engine.service import collections, reads, writes
from embedded.engine.store import Store

_log = logging.getLogger(__name__)

Call = Callable[[Store, Any], Any]
_Handler = Callable[[Any, Any], Any]

# The version of Qdrant's interface; clients compare it with their own.
INTERFACE = "1.18.0"

WRITES: Mapping[str, Call] = {
    "qdrant.Points.Upsert": writes.upsert,
    "qdrant.Points.Delete": writes.delete,
    "qdrant.Points.UpdateVectors": writes.update_vectors,
    "qdrant.Points.DeleteVectors": writes.delete_vectors,
    "qdrant.Points.SetPayload": writes.set_payload,
    "qdrant.Points.OverwritePayload": writes.overwrite_payload,
    "qdrant.Points.DeletePayload": writes.delete_payload,
    "qdrant.Points.ClearPayload": writes.clear_payload,
    "qdrant.Points.UpdateBatch": writes.update_batch,
    "qdrant.Points.CreateFieldIndex": writes.create_index,
    "qdrant.Points.DeleteFieldIndex": writes.delete_index,
    "qdrant.Collections.Create": collections.create,
    "qdrant.Collections.Delete": collections.delete,
    "qdrant.Collections.UpdateAliases": collections.update_aliases,
}
READS: Mapping[str, Call] = {
    "qdrant.Points.Get": reads.get,
    "qdrant.Points.Scroll": reads.scroll,
    "qdrant.Points.Count": reads.count,
    "qdrant.Points.Facet": reads.facet,
    "qdrant.Points.Query": reads.query,
    "qdrant.Points.QueryBatch": reads.query_batch,
    "qdrant.Collections.Get": collections.get,
    "qdrant.Collections.List": collections.names,
    "qdrant.Collections.CollectionExists": collections.exists,
    "qdrant.Collections.ListAliases": collections.aliases,
    "qdrant.Collections.ListCollectionAliases": collections.aliases_of,
}
_HEALTH = "qdrant.Qdrant.HealthCheck"
_SERVICES = [
    points_service_pb2.DESCRIPTOR.services_by_name["Points"],
    collections_service_pb2.DESCRIPTOR.services_by_name["Collections"],
    snapshots_service_pb2.DESCRIPTOR.services_by_name["Snapshots"],
    qdrant_pb2.DESCRIPTOR.services_by_name["Qdrant"],
]


class Servicer:
    """The calls, bound to a store. Writes run on `writer`, one at a time in arrival order, and reads on `readers`.

    A write waits until all writes before it have arrived completely, so a client that stops while it sends one delays
    the others until its deadline. Other calls run on the server's own threads and are not delayed.

    `last_call` is the clock's time of the latest read or write. `unflushed_s` is the total duration of writes, in
    seconds, since the last `start_flush`.
    """

    def __init__(
        self,
        store: Store,
        *,
        writer: ThreadPoolExecutor,
        readers: ThreadPoolExecutor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self.last_call = clock()
        self.unflushed_s = 0.0

    def start_flush(self) -> None:
        """A flush of all writes so far begins."""
        self.unflushed_s = 0.0

    def handlers(self) -> list[Any]:
        """gRPC handlers for every method of every service; unsupported ones refuse by name."""
        return [
            grpc.method_handlers_generic_handler(
                service.full_name, {method.name: self._rpc(method) for method in service.methods}
            )
            for service in _SERVICES
        ]

    def _rpc(self, method: MethodDescriptor) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            self._handler(method),
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=_serialized,
        )

    def _handler(self, method: MethodDescriptor) -> _Handler:
        name = method.full_name
        if name == _HEALTH:
            return _healthy
        if name in WRITES:
            return self._run(WRITES[name], self._writer, writes_data=True)
        if name in READS:
            return self._run(READS[name], self._readers, writes_data=False)
        return _refusal(f"{name.removeprefix('qdrant.')} ({method.input_type.name})")

    def _run(self, call: Call, threads: ThreadPoolExecutor, *, writes_data: bool) -> _Handler:
        def answer(request: Any, context: Any) -> Any:
            self.last_call = started = self._clock()
            try:
                response = call(self._store, request)
            except StatusError as status:
                context.abort(status.code, str(status))
            except Exception as error:
                translated = from_engine(error)
                if translated.code == grpc.StatusCode.INTERNAL:
                    _log.exception("%s failed", type(request).__name__)
                context.abort(translated.code, str(translated))
            response.time = self._clock() - started
            if writes_data:
                self.unflushed_s += response.time
            return response

        return _OnThreads(answer, threads)


class _OnThreads:
    """A handler with threads of its own, by an attribute that gRPC's server reads."""

    def __init__(self, answer: _Handler, threads: ThreadPoolExecutor) -> None:
        self._answer = answer
        self.experimental_thread_pool = threads

    def __call__(self, request: Any, context: Any) -> Any:
        return self._answer(request, context)


def _serialized(response: Any) -> bytes:
    serialized: bytes = response.SerializeToString()
    return serialized


def _healthy(_: Any, __: Any) -> pb.HealthCheckReply:
    return pb.HealthCheckReply(title="liveshelf embedded engine", version=INTERFACE)


def _refusal(what: str) -> _Handler:
    status = unsupported(what)

    def answer(_: Any, context: Any) -> None:
        context.abort(status.code, str(status))

    return answer
