"""Builds and runs the search service: encoder, index readers, image sources and routes."""

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
PUBLIC_SCHEMES = frozenset({"http", "https", "data"})
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


async def run_search(settings: Settings, *, insecure: bool = False) -> None:
    """Runs the search service until SIGTERM."""
    keys = None if settings.api_keys_file is None else KeyFile(settings.api_keys_file)
    guarded = insecure or keys is not None
    check_address(settings.search_host, settings.search_port, insecure=guarded)
    async with AsyncExitStack() as stack:
        sharing = settings.model_copy(update={"encoder_threads": query_threads_of(settings)})
        encoder = await stack.enter_async_context(encoder_of(sharing, forwards=1))
        query_images = await stack.enter_async_context(ImageFetcher(public_image_policy_of(settings)))
        catalogue_images = await stack.enter_async_context(ImageFetcher(image_policy_of(settings)))
        images = QueryImages(public=query_images, catalogue=catalogue_images)
        dependencies, live = await stack.enter_async_context(
            dependencies_of(settings, cached_query_encoder(encoder, settings), images)
        )
        app = create_app(
            dependencies, routers=[product_stream_routes(live)], policy=search_policy_of(settings), keys=keys
        )
        # Modules, model and routes live as long as the process. Unfrozen, each full collection would scan them: 0.1 s.
        gc.collect()
        gc.freeze()
        await serve(
            app, settings.search_host, settings.search_port, settings.ready_file, insecure=guarded, on_stop=live.close
        )


@asynccontextmanager
async def dependencies_of(
    settings: Settings, encoder: QueryEncoder, images: ImageSource
) -> AsyncIterator[tuple[Dependencies, ProductStream]]:
    """Yields the service's dependencies, on the collection of the encoder's space. The collection exists on entry.

    Raises Unavailable if the index does not answer, and FatalError if the collection has another vector space.
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
    """An ImageSource that sends http, https and data URLs to `public`, and every other URL to `catalogue`."""

    def __init__(self, *, public: ImageSource, catalogue: ImageSource) -> None:
        self._public = public
        self._catalogue = catalogue

    async def fetch(self, url: str) -> bytes:
        source = self._public if urlsplit(url).scheme.lower() in PUBLIC_SCHEMES else self._catalogue
        return await source.fetch(url)


def cached_query_encoder(encoder: EncoderService, settings: Settings) -> QueryEncoder:
    """The query encoder, with a cache of query vectors unless `query_cache_mb` is 0."""
    if not settings.query_cache_mb:
        return encoder
    cache_policy = QueryCachePolicy(entries=MOST_TEXTS, max_bytes=settings.query_cache_mb * 1_000_000)
    return QueryVectorCache(encoder, policy=cache_policy, uncased=encoder.uncased)


def search_policy_of(settings: Settings) -> SearchPolicy:
    max_in_flight = settings.max_requests_in_flight
    return SearchPolicy(
        tenant=settings.default_tenant,
        max_in_flight=max_in_flight,
        max_waiting=2 * max_in_flight,
        hosts=hosts_of(settings),
        origins=frozenset(settings.cors_origins),
    )


def hosts_of(settings: Settings) -> frozenset[str]:
    """The accepted values of the Host header; an empty set accepts any.

    On the loopback interface the service accepts only this machine's names. A foreign page's name can resolve to
    127.0.0.1 (DNS rebinding), and the browser would then treat the service as that page's own origin.
    """
    hosts = {name.lower() for name in settings.allowed_hosts}
    if hosts or settings.search_host in {*LOOPBACK_HOSTS, "::1"} or settings.search_host.startswith("127."):
        hosts |= LOOPBACK_HOSTS | {settings.search_host.lower()}
    return frozenset(hosts)
