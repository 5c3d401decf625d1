"""Which photos the catalogue may use, and which a stranger's query."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.errors import InvalidInput
from encoders.images import HttpCachePolicy, ImagePolicy
from liveshelf.settings import load_settings
from liveshelf.wiring.encoder import image_policy_of, public_image_policy_of

GIVEN = {
    "image_allow_hosts": "images.internal, 10.0.0.0/8",
    "image_allow_ports": "80,443,8443",
    "image_file_roots": "/photos",
    "image_s3_buckets": "shop-photos",
    "image_s3_endpoint": "http://minio.internal:9000/",
    "image_cache_mb": "5",
    "image_max_bytes": "5000",
    "image_concurrency_per_host": "3",
    "cache_dir": "/cache",
}


def test_the_settings_open_what_the_catalogue_needs() -> None:
    policy = image_policy_of(load_settings(**GIVEN))
    assert policy.allow_hosts == ("images.internal", "10.0.0.0/8")
    assert policy.allow_ports == (80, 443, 8443)
    assert (policy.s3.buckets, policy.s3.endpoint) == (("shop-photos",), "http://minio.internal:9000")
    assert policy.cache == HttpCachePolicy(Path("/cache/photos.sqlite"), 5_000_000)


def test_a_strangers_query_has_the_limits_and_none_of_what_is_open() -> None:
    policy = public_image_policy_of(load_settings(**GIVEN))
    assert (policy.max_bytes, policy.per_host) == (5000, 3)
    none = ImagePolicy()
    for name in ("allow_hosts", "allow_ports", "file_roots", "s3", "cache"):
        assert getattr(policy, name) == getattr(none, name)


@pytest.mark.parametrize("ports", ["0", "65536", "http"])
def test_a_port_that_is_none_is_refused_by_name(ports: str) -> None:
    with pytest.raises(InvalidInput, match="LIVESHELF_IMAGE_ALLOW_PORTS"):
        load_settings(image_allow_ports=ports)
