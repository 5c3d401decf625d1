"""Bytes to an RGB picture, whatever a shop uploads."""

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

# What Pillow's decoders are known to raise for bytes that are no image, or half of one.
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
# A JPEG may be coded in scans, each a pass over the whole picture for a few bytes of file; photos have about ten.
SCAN = b"\xff\xda"
MOST_SCANS = 20

# Damaged EXIF is common, and no reason to write to a log for every photo.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def decode(data: bytes, policy: ImagePolicy, *, target: int | None = None) -> Image.Image:
    """An RGB image, turned as its EXIF says, transparency on white, the first frame of an animation.

    `target` is the side in pixels the caller will scale to: a JPEG is then decoded at the smallest eighth of its size
    whose sides are no shorter. Raises ImageProblem: TOO_LARGE over `policy.max_pixels` (before any pixel is decoded),
    BROKEN for what is no image or a truncated one.
    """
    try:
        image: Image.Image = Image.open(BytesIO(data), formats=policy.formats)
    except BOMB as err:
        raise ImageProblem(ImageState.TOO_LARGE, f"the image has too many pixels: {err}") from err
    except BAD_BYTES as err:
        kinds = ", ".join(policy.formats)
        raise ImageProblem(ImageState.BROKEN, f"the bytes are not an image of a known kind ({kinds})") from err
    width, height = image.size
    if width * height > policy.max_pixels:
        said = f"the image is {width} x {height} pixels, more than the {policy.max_pixels:,} allowed"
        raise ImageProblem(ImageState.TOO_LARGE, said)
    if image.format in ("JPEG", "MPO") and width * height * data.count(SCAN) > policy.max_pixels * MOST_SCANS:
        raise ImageProblem(ImageState.BROKEN, f"the image is coded in {data.count(SCAN):,} scans, which no photo is")
    try:
        drafted = image.draft("RGB", (target, target)) if target is not None else None
        image.load()
        if drafted is not None and drafted[1][2:] != image.size:
            # A side that is no multiple of eight is rounded up, which would squeeze the picture by part of a pixel.
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
        return image  # a photo with damaged EXIF is still a photo


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        ground = Image.new("RGBA", seen.size, (*WHITE, 255))
        return Image.alpha_composite(ground, seen).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey levels of 16 bits or floats as 8 bits; convert() alone would cut off everything above 255."""
    levels = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0.0, neginf=0.0)
    top = float(levels.max(initial=0.0))
    full = 65535.0 if top > 255.0 else 255.0 if top > 1.0 or image.mode != "F" else 1.0
    if image.mode.startswith("I;16"):
        full = 65535.0
    return Image.fromarray((np.clip(levels / full, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))
