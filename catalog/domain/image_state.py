"""The outcome of the last attempt to fetch and read a product's photo."""

from __future__ import annotations

from enum import StrEnum


class ImageState(StrEnum):
    """What happened to a product's photo when the product was last encoded."""

    OK = "ok"
    NONE = "none"  # the product names no image
    MISSING = "missing"  # the host says that the image does not exist (404, 410, no such file)
    UNAVAILABLE = "unavailable"  # the host did not answer or failed; a retry may succeed
    BROKEN = "broken"  # the bytes are not an image that can be decoded
    TOO_LARGE = "too_large"  # over the limit on bytes or on pixels
    BLOCKED = "blocked"  # policy does not allow the address or the scheme
    PLACEHOLDER = "placeholder"  # many products share the picture, such as "no image available"
