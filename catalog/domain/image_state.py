"""The outcome of the last attempt to fetch and read a product's photo."""

from __future__ import annotations

from enum import StrEnum


class ImageState(StrEnum):
    """What became of a product's photo when it was last encoded."""

    OK = "ok"
    NONE = "none"  # the product names no image
    MISSING = "missing"  # the host says there is no such image (404, 410, no such file)
    UNAVAILABLE = "unavailable"  # the host did not answer or failed: can heal
    BROKEN = "broken"  # bytes came, but they are not an image that can be decoded
    TOO_LARGE = "too_large"  # over the cap on bytes or on pixels
    BLOCKED = "blocked"  # an address or scheme that policy does not allow
    PLACEHOLDER = "placeholder"  # a picture that many products share, such as "no image available"
