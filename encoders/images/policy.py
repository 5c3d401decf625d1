"""Which photos may be fetched, how large they may be and how long a fetch may take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from encoders.images.egress_guard import WEB_PORTS
from encoders.images.host_circuits import HostCircuitPolicy
from encoders.images.http_cache import HttpCachePolicy
from encoders.images.retry import FetchRetryPolicy
from encoders.images.s3 import S3Policy


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """The limits within which photos are fetched and decoded.

    - `allowed_schemes` are the URL schemes. A file: URL must also be below one of `file_roots`.
    - `allow_hosts` are host names, addresses ("127.0.0.1") or networks ("10.0.0.0/8") that are allowed without being on
      the public internet. They may use any port; all others must use one of `allow_ports`.
    - Times are in seconds. `total_timeout_s` runs from the first request to the last byte, with redirects and retries.
    - `concurrency` is the number of fetches in flight, and `per_host` those whose URLs name the same host.
    - `ca_file` is a certificate authority (PEM) that is trusted in addition to the public ones.
    - Without `cache` nothing is stored on disk.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 50_000_000
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 5.0
    total_timeout_s: float = 15.0
    max_redirects: int = 3
    file_roots: tuple[Path, ...] = ()
    allowed_schemes: tuple[str, ...] = ("http", "https", "file", "data", "s3")
    allow_hosts: tuple[str, ...] = ()
    allow_ports: tuple[int, ...] = WEB_PORTS
    ca_file: Path | None = None
    concurrency: int = 32
    per_host: int = 8
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
    user_agent: str = "liveshelf"
    retry: FetchRetryPolicy = FetchRetryPolicy()
    breaker: HostCircuitPolicy = HostCircuitPolicy()
    s3: S3Policy = S3Policy()
    cache: HttpCachePolicy | None = None
