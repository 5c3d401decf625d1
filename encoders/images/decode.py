"""Decodes the bytes of a photo to an RGB image, whatever a shop uploads."""

from __future__ import annotations

import struct
import warnings
import zlib
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from encoders.images.policy import ImagePolicy

# The errors that Pillow's decoders raise for bytes that are not an image, or are truncated.
BAD_BYTES = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    NotImplementedError,
    struct.error,
    zlib.error,
)
BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
WHITE = (255, 255, 255)
# A JPEG may be coded in scans. Each is a pass over the whole picture for a few bytes of file; photos have about ten.
SCAN = b"\xff\xda"
MAX_SCANS = 20

# Damaged EXIF is common: it is not worth a log line for every photo.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def decode(data: bytes, policy: ImagePolicy, *, target: int | None = None) -> Image.Image:
    """An RGB image: rotated by its EXIF, transparency on white, the first frame of an animation.

    `target` is the side in pixels to which the caller scales: a JPEG is then decoded at the smallest eighth of its size
    with sides of at least `target`. Raises ImageProblem: TOO_LARGE over `policy.max_pixels` (before any pixel is
    decoded), BROKEN if the bytes are not an image or are truncated.
    """
    try:
        image: Image.Image = Image.open(BytesIO(data), formats=policy.formats)
    except BOMB as err:
        raise ImageProblem(ImageState.TOO_LARGE, f"the image has too many pixels: {err}") from err
    except BAD_BYTES as err:
        formats = ", ".join(policy.formats)
        raise ImageProblem(ImageState.BROKEN, f"the bytes are not an image of a known format ({formats})") from err
    width, height = image.size
    if width * height > policy.max_pixels:
        reason = f"the image is {width} x {height} pixels, more than the {policy.max_pixels:,} allowed"
        raise ImageProblem(ImageState.TOO_LARGE, reason)
    if image.format in ("JPEG", "MPO") and width * height * data.count(SCAN) > policy.max_pixels * MAX_SCANS:
        reason = f"the image is coded in {data.count(SCAN):,} scans, far more than a photo has"
        raise ImageProblem(ImageState.BROKEN, reason)
    try:
        drafted = image.draft("RGB", (target, target)) if target is not None else None
        image.load()
        if drafted is not None and drafted[1][2:] != image.size:
            # A side that is not a multiple of eight is rounded up, which would squeeze the picture by part of a pixel.
            image = image.resize(image.size, Image.Resampling.BICUBIC, box=drafted[1])
        return _rgb(_upright(image))
    except BOMB as err:
        raise ImageProblem(ImageState.TOO_LARGE, f"the image has too many pixels: {err}") from err
    except BAD_BYTES as err:
        raise ImageProblem(ImageState.BROKEN, f"the image is damaged and cannot be decoded: {err}") from err


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (*BAD_BYTES, UserWarning):
        return image  # damaged EXIF does not make a photo unusable


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        background = Image.new("RGBA", picture.size, (*WHITE, 255))
        return Image.alpha_composite(background, picture).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey levels of 16 bits or floats, scaled to 8 bits; convert() alone would clip everything above 255."""
    levels = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0.0, neginf=0.0)
    highest = float(levels.max(initial=0.0))
    scale = 65535.0 if highest > 255.0 else 255.0 if highest > 1.0 or image.mode != "F" else 1.0
    if image.mode.startswith("I;16"):
        scale = 65535.0
    return Image.fromarray((np.clip(levels / scale, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))
