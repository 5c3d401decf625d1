"""Picture files as shops upload them, and files made to do harm."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

RED, WHITE = (200, 0, 0), (255, 255, 255)


def drawn(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    """Red in the upper left quarter, white elsewhere."""
    image = Image.new("RGB", size, WHITE)
    ImageDraw.Draw(image).rectangle((0, 0, max(0, size[0] // 2 - 1), max(0, size[1] // 2 - 1)), fill=RED)
    return image.convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(side: int = 64) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8))


def turned(orientation: int, **tags: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for tag, value in tags.items():
        exif[int(tag.lstrip("t"), 16)] = value
    return saved(drawn(), "JPEG", exif=exif)


def animated(kind: str, frames: int) -> bytes:
    """Red at first, then all shades of grey."""
    rest = [Image.new("L", (8, 8), n % 255).convert("RGB") for n in range(1, frames)]
    return saved(Image.new("RGB", (8, 8), RED), kind, save_all=True, append_images=rest)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, *extra: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG with any header, over one line of data."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    rest = chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + rest


def packed_bomb(megabytes: int) -> bytes:
    return zlib.compress(bytes(megabytes * 1_000_000), 9)


def patched(data: bytes, mark: bytes, offset: int, new: bytes) -> bytes:
    """The same bytes with `new` written at `offset` after the first `mark`."""
    at = data.index(mark) + len(mark) + offset
    return data[:at] + new + data[at + len(new) :]


def half(kind: str) -> bytes:
    data = saved(noise(), kind)
    return data[: len(data) // 2]


def gif_of(size: bytes) -> bytes:
    data = saved(drawn("P"), "GIF")
    return patched(data, data[:6], 0, size)


def without(data: bytes, marker: int) -> bytes:
    """A JPEG without its first segment of a marker."""
    at = data.index(bytes((0xFF, marker)))
    return data[:at] + data[at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0] :]


def tiff_of_itself() -> bytes:
    """A TIFF whose first directory says that the next one is the first."""
    data = saved(drawn("L"), "TIFF")
    first = struct.unpack("<I", data[4:8])[0]
    entries = struct.unpack("<H", data[first : first + 2])[0]
    link = first + 2 + 12 * entries
    return data[:link] + struct.pack("<I", first) + data[link + 4 :]


def tiff_of(width: int, height: int) -> bytes:
    data = bytearray(saved(drawn("L"), "TIFF"))
    first = struct.unpack("<I", data[4:8])[0]
    for entry in range(struct.unpack("<H", data[first : first + 2])[0]):
        at = first + 2 + 12 * entry
        tag = struct.unpack("<H", data[at : at + 2])[0]
        if tag in (256, 257):
            data[at + 2 : at + 12] = struct.pack("<HII", 4, 1, width if tag == 256 else height)
    return bytes(data)


def many_scans(scans: int) -> bytes:
    """A progressive JPEG that repeats one of its scans: each costs a pass over the whole picture."""
    data = saved(drawn(size=(512, 512)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


PNG = saved(drawn(), "PNG")
JPEG = saved(noise(), "JPEG")
