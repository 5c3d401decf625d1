"""What may be fetched, how large it may be and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from encoders.images.again import AgainPolicy
from encoders.images.breaker import BreakerPolicy


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """The limits within which photos are fetched and decoded.

    `allowed_schemes` are the URL schemes taken at all; a file: URL is taken only below one of `file_roots`, whatever
    the schemes say. `allow_hosts` names what may be reached although it is not on the public internet: host names,
    addresses ("127.0.0.1") or networks ("10.0.0.0/8"). Times are seconds; `total_timeout_s` runs from the first
    request to the last byte, redirects and further tries included. `concurrency` is the number of fetches in flight.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 50_000_000
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 5.0
    total_timeout_s: float = 15.0
    max_redirects: int = 3
    file_roots: tuple[Path, ...] = ()
    allowed_schemes: tuple[str, ...] = ("http", "https", "file", "data")
    allow_hosts: tuple[str, ...] = ()
    concurrency: int = 32
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
    user_agent: str = "liveshelf"
    again: AgainPolicy = AgainPolicy()
    breaker: BreakerPolicy = BreakerPolicy()
