"""The calls about collections and aliases. Each takes the store and a request and returns the response."""

from __future__ import annotations

from qdrant_client import grpc as pb

from embedded.engine.codec.collection_config import to_config
from embedded.engine.codec.payload_indexes import fill_schema
from embedded.engine.codec.status import only
from embedded.engine.store import Store


def create(store: Store, request: pb.CreateCollection) -> pb.CollectionOperationResponse:
    store.create(request.collection_name, to_config(request))
    return pb.CollectionOperationResponse(result=True)


def delete(store: Store, request: pb.DeleteCollection) -> pb.CollectionOperationResponse:
    only(request, "collection_name", "timeout")
    return pb.CollectionOperationResponse(result=store.drop(request.collection_name))


def get(store: Store, request: pb.GetCollectionInfoRequest) -> pb.GetCollectionInfoResponse:
    """The status is always green: nothing is optimized while the engine serves, so nothing is pending."""
    collection = store.get(request.collection_name)
    info = collection.shard.info()
    response = pb.GetCollectionInfoResponse()
    response.result.status = pb.Green
    response.result.optimizer_status.ok = True
    response.result.segments_count = info.segments_count
    response.result.points_count = info.points_count
    response.result.indexed_vectors_count = info.indexed_vectors_count
    response.result.config.CopyFrom(collection.config)
    fill_schema(response.result.payload_schema, info.payload_schema)
    return response


def names(store: Store, _: pb.ListCollectionsRequest) -> pb.ListCollectionsResponse:
    return pb.ListCollectionsResponse(collections=[pb.CollectionDescription(name=name) for name in store.names()])


def exists(store: Store, request: pb.CollectionExistsRequest) -> pb.CollectionExistsResponse:
    is_present = store.find(request.collection_name) is not None
    return pb.CollectionExistsResponse(result=pb.CollectionExists(exists=is_present))


def update_aliases(store: Store, request: pb.ChangeAliases) -> pb.CollectionOperationResponse:
    only(request, "actions", "timeout")
    store.change_aliases(request.actions)
    return pb.CollectionOperationResponse(result=True)


def aliases(store: Store, _: pb.ListAliasesRequest) -> pb.ListAliasesResponse:
    return _response(store.aliases())


def aliases_of(store: Store, request: pb.ListCollectionAliasesRequest) -> pb.ListAliasesResponse:
    name = store.get(request.collection_name).name
    return _response({alias: target for alias, target in store.aliases().items() if target == name})


def _response(aliases: dict[str, str]) -> pb.ListAliasesResponse:
    descriptions = [
        pb.AliasDescription(alias_name=alias, collection_name=target) for alias, target in sorted(aliases.items())
    ]
    return pb.ListAliasesResponse(aliases=descriptions)
