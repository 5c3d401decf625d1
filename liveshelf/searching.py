"""The search service, of all its parts."""

from __future__ import annotations

from contextlib import AsyncExitStack

from catalog.find import Find
from catalog.gather import Gather
from encoders.images import Images
from indexer import QdrantCandidates, QdrantShelf, connect, ensure
from liveshelf.settings import Settings, secret
from liveshelf.wiring import collection_policy_of, encoder_of, public_image_policy_of
from search import SearchPolicy, create_app, index_health, serve


async def run_search(settings: Settings, *, insecure: bool = False) -> None:
    """The search service, until SIGTERM."""
    timeout = settings.qdrant_timeout_s
    async with AsyncExitStack() as stack:
        client = connect(settings.qdrant_url, api_key=secret(settings.qdrant_api_key), timeout_s=timeout)
        stack.push_async_callback(client.close)
        encoder = await stack.enter_async_context(encoder_of(settings, forwards=1))
        images = await stack.enter_async_context(Images(public_image_policy_of(settings)))
        collection = await ensure(client, encoder.space, collection_policy_of(settings))
        shelf = QdrantShelf(client, collection=collection, space=encoder.space, timeout_s=timeout)
        candidates = QdrantCandidates(client, collection=collection, space=encoder.space, timeout_s=timeout)
        app = create_app(
            find=Find(shelf=shelf, encoder=encoder),
            gather=Gather(candidates=candidates, encoder=encoder),
            shelf=shelf,
            images=images,
            health=index_health(shelf, space=encoder.space.id),
            policy=SearchPolicy(tenant=settings.tenant),
        )
        await serve(app, settings.host, settings.port, settings.ready_file, insecure=insecure)
