"""The photos of a schedule: which URLs there are, what may become of each, and the pictures behind the good ones."""

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
    "inward": BLOCKED,  # sends on to 127.0.0.1, where a photo would be had
    "metadata": BLOCKED,  # sends on to 169.254.169.254
    "file": BLOCKED,  # sends on to a file
    "circle": BLOCKED,
}
KINDS = {**GOOD, **BAD}
HEALING = frozenset({"healing"})  # not there when it is first asked for: there once a worker repairs it
LATE = frozenset({"hang", "drip", "429", "500", "503", "close", "reset", "early"})  # these cost a batch its time

# Where the suite's own hosts of photos are, one address for each photo, so that a host that fails costs no other.
ALLOWED = "127.64.0.0/10"
PICTURES = 8
MAX_BYTES = 200_000
MAX_PIXELS = 1_000_000


def url_of(kind: str, picture: int, number: int, port: int) -> str:
    """The `number`-th photo of a shop, of a kind, at a host of its own."""
    host = f"127.{64 + (number >> 16) % 64}.{(number >> 8) % 256}.{number % 256}"
    return f"http://{host}:{port}/{kind}/{picture}/{number}"


def kind_of(url: str) -> str:
    return urlsplit(url).path.split("/")[1]


def picture_of(url: str) -> int:
    return int(urlsplit(url).path.split("/")[2])


def outcomes(images: Sequence[str], *, lenient: bool) -> set[tuple[ImageState, int | None]]:
    """What may become of a list of photos: the state, and which picture is encoded.

    `lenient`: a photo may be late for other reasons than its host, for the worker was stopped in the middle of it.
    """
    if not images:
        return {(ImageState.NONE, None)}
    found: set[tuple[ImageState, int | None]] = set()
    failed: set[ImageState] = set()
    for url in images:
        state = KINDS[kind_of(url)]
        if state is OK:
            found.add((OK, picture_of(url)))
            if not lenient and kind_of(url) not in HEALING:
                return found
            failed.add(UNAVAILABLE)
        else:
            failed |= {state, UNAVAILABLE} if lenient else {state}
    return found | {(state, None) for state in failed}


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
