"""The types of photos that the service gives out: bitmaps that browsers show, recognised by their first bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from catalog.domain.product import ProductKey

WEB = ("http", "https")
INLINE = "data"
_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
)
_BRANDS = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"mif1": "image/heif"}


def sniff(data: bytes) -> str | None:
    """The content type of an image, from its bytes; None for anything else. HTML and SVG can run scripts."""
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12])
    return None


def scheme(url: str) -> str:
    """The text before the first colon, in lower case; empty without a colon."""
    before, colon, _ = url.partition(":")
    return before.lower() if colon else ""


def address(key: ProductKey, n: int = 0) -> str:
    """The path of a product's photo `n` (from 0) on this server."""
    return f"/v1/products/{quote(key.id, safe='')}/photo?tenant={quote(key.tenant, safe='')}&n={n}"


def addresses(key: ProductKey, payload: Mapping[str, object]) -> list[str]:
    """The URLs of a product's photos: http(s) URLs as the shop gave them, others as a path on this server."""
    images = payload.get("images")
    if not isinstance(images, Sequence):
        return []
    return [url if scheme(url) in WEB else address(key, n) for n, url in enumerate(images)]
