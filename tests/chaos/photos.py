"""The photos of a schedule: their URLs, the allowed image states of each, and the pictures of the good ones."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from urllib.parse import urlsplit

from PIL import Image

from catalog.domain.image_state import ImageState

OK, BLOCKED, BROKEN = ImageState.OK, ImageState.BLOCKED, ImageState.BROKEN
MISSING, UNAVAILABLE, TOO_LARGE = ImageState.MISSING, ImageState.UNAVAILABLE, ImageState.TOO_LARGE

GOOD: dict[str, ImageState] = {"good": OK, "flaky": OK, "onward": OK, "chunked": OK, "healing": OK}
BAD: dict[str, ImageState] = {
    "404": MISSING,
    "410": MISSING,
    "401": BLOCKED,
    "403": BLOCKED,
    "429": UNAVAILABLE,
    "500": UNAVAILABLE,
    "503": UNAVAILABLE,
    "hang": UNAVAILABLE,
    "drip": UNAVAILABLE,
    "close": UNAVAILABLE,
    "reset": UNAVAILABLE,
    "early": UNAVAILABLE,  # promises more than it sends
    "cut": BROKEN,  # promises less than the picture has
    "text": BROKEN,
    "empty": BROKEN,
    "huge": TOO_LARGE,  # promises more than is allowed
    "flood": TOO_LARGE,  # sends without end
    "bomb": TOO_LARGE,  # few bytes, many pixels
    "gzip": TOO_LARGE,  # few bytes, many once unpacked
    "inward": BLOCKED,  # redirects to 127.0.0.1, which serves a photo
    "metadata": BLOCKED,  # redirects to 169.254.169.254
    "file": BLOCKED,  # redirects to a file
    "circle": BLOCKED,
}
KINDS = {**GOOD, **BAD}
HEALING = frozenset({"healing"})  # fails at first, and is served when the worker retries it
LATE = frozenset({"hang", "drip", "429", "500", "503", "close", "reset", "early"})  # these cost a batch its time

# The suite's hosts of photos, one address for each photo, so that a failing host affects no other photo.
ALLOWED = "127.64.0.0/10"
PICTURES = 8
MAX_BYTES = 200_000
MAX_PIXELS = 1_000_000


def url_of(kind: str, picture: int, number: int, port: int) -> str:
    """The URL of the `number`-th photo of a shop, of a kind, at a host of its own."""
    host = f"127.{64 + (number >> 16) % 64}.{(number >> 8) % 256}.{number % 256}"
    return f"http://{host}:{port}/{kind}/{picture}/{number}"


def kind_of(url: str) -> str:
    return urlsplit(url).path.split("/")[1]


def picture_of(url: str) -> int:
    return int(urlsplit(url).path.split("/")[2])


def outcomes(images: Sequence[str], *, lenient: bool) -> set[tuple[ImageState, int | None]]:
    """The allowed outcomes of a list of photos: the image state and the encoded picture.

    `lenient` allows that a photo is late for other reasons than its host, because a worker was stopped meanwhile.
    """
    if not images:
        return {(ImageState.NONE, None)}
    allowed: set[tuple[ImageState, int | None]] = set()
    failed: set[ImageState] = set()
    for url in images:
        state = KINDS[kind_of(url)]
        if state is OK:
            allowed.add((OK, picture_of(url)))
            if not lenient and kind_of(url) not in HEALING:
                return allowed
            failed.add(UNAVAILABLE)
        else:
            failed |= {state, UNAVAILABLE} if lenient else {state}
    return allowed | {(state, None) for state in failed}


@cache
def picture(number: int) -> bytes:
    """A small JPEG, each number with a pattern of its own."""
    image = Image.effect_mandelbrot((96, 96), (-2.0 + number / 10, -1.2, 0.5 + number / 10, 1.2), 20 + number * 9)
    colours = [((number * 67) % 256, (number * 101 + 40) % 256, 200 - number * 20), (240, 240 - number * 30, 60)]
    out = io.BytesIO()
    blank = Image.new("RGB", image.size, colours[0])
    blank.paste(colours[1], mask=image)
    blank.save(out, "JPEG", quality=90)
    return out.getvalue()


@cache
def bomb() -> bytes:
    """A PNG of a few kilobytes with more pixels than are allowed."""
    out = io.BytesIO()
    Image.new("1", (4000, 4000)).save(out, "PNG")
    return out.getvalue()
