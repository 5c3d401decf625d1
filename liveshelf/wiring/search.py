"""The search service, of all its parts."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

from catalog.ports import ImageSource, QueryEncoder
from catalog.query.candidates import CandidateService
from catalog.query.search import SearchService
from encoders.caching.query_vectors import QueryCachePolicy, QueryVectorCache
from encoders.images import ImageFetcher
from encoders.service import EncoderService
from indexer import QdrantCandidateReader, QdrantFacetReader, QdrantReader, QdrantRecentProducts, connect, ensure
from liveshelf.settings import Settings, secret
from liveshelf.wiring.encoder import (
    collection_policy_of,
    encoder_of,
    graph_policy_of,
    image_policy_of,
    public_image_policy_of,
    query_policy_of,
    query_threads_of,
)
from search import (
    Dependencies,
    KeyFile,
    ProductStream,
    SearchPolicy,
    check_address,
    create_app,
    index_health,
    product_stream_routes,
    serve,
)

MOST_TEXTS = 1_000_000
STRANGE = frozenset({"http", "https", "data"})
HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})


async def run_search(settings: Settings, *, insecure: bool = False) -> None:
    """The search service, until SIGTERM."""
    keys = None if settings.api_keys_file is None else KeyFile(settings.api_keys_file)
    guarded = insecure or keys is not None
    check_address(settings.search_host, settings.search_port, insecure=guarded)
    async with AsyncExitStack() as stack:
        sharing = settings.model_copy(update={"encoder_threads": query_threads_of(settings)})
        encoder = await stack.enter_async_context(encoder_of(sharing, forwards=1))
        images = await stack.enter_async_context(ImageFetcher(public_image_policy_of(settings)))
        photos = await stack.enter_async_context(ImageFetcher(image_policy_of(settings)))
        pictures = QueryImages(asked=images, ours=photos)
        dependencies, live = await stack.enter_async_context(
            dependencies_of(settings, cached_query_encoder(encoder, settings), pictures)
        )
        app = create_app(
            dependencies, routers=[product_stream_routes(live)], policy=search_policy_of(settings), keys=keys
        )
        # Modules, model and routes stay: the collector would hold all queries for 0.1 s whenever it looks through them.
        gc.collect()
        gc.freeze()
        await serve(
            app, settings.search_host, settings.search_port, settings.ready_file, insecure=guarded, on_stop=live.close
        )


@asynccontextmanager
async def dependencies_of(
    settings: Settings, encoder: QueryEncoder, images: ImageSource
) -> AsyncIterator[tuple[Dependencies, ProductStream]]:
    """What the service is made of, on the collection of the encoder's space, which exists when this has entered.

    Raises Unavailable where the index does not answer, and Hopeless where the collection is of another kind.
    """
    timeout, space, graph = settings.qdrant_timeout_seconds, encoder.space, graph_policy_of(settings)
    client = connect(settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=timeout)
    try:
        name = await ensure(client, space, collection_policy_of(settings))
        shelf = QdrantReader(client, collection=name, space=space, timeout_s=timeout, policy=graph)
        candidates = QdrantCandidateReader(client, collection=name, space=space, timeout_s=timeout, policy=graph)
        facets = QdrantFacetReader(client, collection=name, timeout_s=timeout)
        search_service = SearchService(
            product_reader=shelf,
            vector_reader=shelf,
            facet_reader=facets,
            encoder=encoder,
            policy=query_policy_of(settings),
        )
        dependencies = Dependencies(
            search_service=search_service,
            candidate_service=CandidateService(candidate_reader=candidates, search_service=search_service),
            product_reader=shelf,
            images=images,
            health=index_health(shelf, space=space.id),
            collection=name,
        )
        yield dependencies, ProductStream(QdrantRecentProducts(client, collection=name, timeout_s=timeout))
    finally:
        await client.close()


class QueryImages:
    """ImageSource that keeps the shop's own folders and buckets apart from what the web, or a query, may name."""

    def __init__(self, *, asked: ImageSource, ours: ImageSource) -> None:
        self._asked = asked
        self._ours = ours

    async def fetch(self, url: str) -> bytes:
        source = self._asked if urlsplit(url).scheme.lower() in STRANGE else self._ours
        return await source.fetch(url)


def cached_query_encoder(encoder: EncoderService, settings: Settings) -> QueryEncoder:
    """The encoder of queries, with a memory of texts where the settings have room for one."""
    if not settings.query_cache_mb:
        return encoder
    room = QueryCachePolicy(entries=MOST_TEXTS, max_bytes=settings.query_cache_mb * 1_000_000)
    return QueryVectorCache(encoder, policy=room, uncased=encoder.uncased)


def search_policy_of(settings: Settings) -> SearchPolicy:
    most = settings.max_requests_in_flight
    return SearchPolicy(
        tenant=settings.default_tenant,
        max_in_flight=most,
        max_waiting=2 * most,
        hosts=hosts_of(settings),
        origins=frozenset(settings.cors_origins),
    )


def hosts_of(settings: Settings) -> frozenset[str]:
    """The host names that are answered to, none for any.

    On the loopback only this machine's own: a page elsewhere can have its name resolve to 127.0.0.1, and would be let
    in by the browser as if it were ours.
    """
    named = {name.lower() for name in settings.allowed_hosts}
    if named or settings.search_host in {*HERE, "::1"} or settings.search_host.startswith("127."):
        named |= HERE | {settings.search_host.lower()}
    return frozenset(named)
