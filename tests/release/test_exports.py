"""The public names of each package: a change here is a change of an interface."""

from __future__ import annotations

from importlib import import_module

import pytest

EXPORTS = {
    "liveshelf_client": """
        AsyncClient AuthError CandidateOptions Candidates Client Encoding Hit InvalidRequestError NotFoundError Part
        Product RateLimitedError RetryPolicy SearchOptions SearchResult ServerError ServiceError SimilarOptions Timings
        UnavailableError
    """,
    "embedded.broker": """
        Broker fetch prepare
    """,
    "embedded.engine": """
        serve
    """,
    "encoders": """
        EncodePolicy EncoderService Inputs Model Priority load
    """,
    "encoders.images": """
        FetchRetryPolicy HostCircuitPolicy HttpCachePolicy ImageFetcher ImagePolicy S3Policy decode
    """,
    "encoders.runtime": """
        RuntimePolicy
    """,
    "indexer": """
        CollectionPolicy CollectionStatus GraphPolicy QdrantCandidateReader QdrantFacetReader
        QdrantImageRetryQueue QdrantReader QdrantRecentProducts QdrantWriter RequestPolicy TombstoneStore
        WaitingPatch collection_name connect ensure prepare promote serving status
    """,
    "liveshelf.sample": """
        COLOURS COUNT KINDS Look PATTERNS Spec draw is_drawn jpeg photo redraw seen unseen
    """,
    "search": """
        Dependencies Health KeyFile ProductStream ProductStreamPolicy SearchPolicy check_address create_app index_health
        product_stream_routes run serve
    """,
    "training.tasks": """
        Task tasks_of views_of weight_of
    """,
}


@pytest.mark.parametrize("package", EXPORTS)
def test_the_public_names_of_a_package_are_these(package: str) -> None:
    module = import_module(package)
    assert sorted(module.__all__) == sorted(EXPORTS[package].split())
    assert all(hasattr(module, name) for name in module.__all__)
