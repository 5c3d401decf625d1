"""What a photo is allowed to be when it leaves this server: a bitmap a browser shows, told by its first bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from catalog.domain.product import ProductKey

WEB = ("http", "https")
HEAVY = "data"
_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
)
_BRANDS = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"mif1": "image/heif"}


def sniff(data: bytes) -> str | None:
    """The content type of an image, from the bytes alone; None for all else, such as HTML or SVG, which can run."""
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12])
    return None


def scheme(url: str) -> str:
    """What stands before the first colon, in lower case: empty where there is none."""
    before, colon, _ = url.partition(":")
    return before.lower() if colon else ""


def address(key: ProductKey, n: int = 0) -> str:
    """Where this server gives out a product's nth photo."""
    return f"/v1/products/{quote(key.id, safe='')}/photo?tenant={quote(key.tenant, safe='')}&n={n}"


def addresses(key: ProductKey, payload: Mapping[str, object]) -> list[str]:
    """A product's photos as a client can fetch them: the shop's own on the web, anything else through this server."""
    images = payload.get("images")
    if not isinstance(images, Sequence):
        return []
    return [url if scheme(url) in WEB else address(key, n) for n, url in enumerate(images)]
