"""Every kind of file a shop uploads comes out as RGB, and what is none says so."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw

from catalog.errors import ImageProblem
from catalog.product import ImageState
from encoders.images import ImagePolicy, decode

POLICY = ImagePolicy()


def drawn(mode: str = "RGB", size: tuple[int, int] = (60, 40)) -> Image.Image:
    """Red on the left, white on the right."""
    image = Image.new("RGB", size, (255, 255, 255))
    ImageDraw.Draw(image).rectangle((0, 0, size[0] // 2 - 1, size[1]), fill=(200, 0, 0))
    return image.convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


HOLDS = {
    "JPEG": "RGB L CMYK 1",
    "PNG": "RGB L P 1 RGBA LA",
    "WEBP": "RGB L P CMYK 1 RGBA LA",
    "GIF": "RGB L P 1 RGBA LA",
    "BMP": "RGB L P 1",
    "TIFF": "RGB L P CMYK 1 RGBA LA",
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in HOLDS.items() for mode in modes.split()])
def test_every_kind_and_mode_comes_out_as_rgb(kind: str, mode: str) -> None:
    image = decode(saved(drawn(mode), kind), POLICY)
    assert image.mode == "RGB"
    assert image.size == (60, 40)
    assert min(image.getpixel((50, 20))) > 240
    assert image.getpixel((10, 20))[1] < 100


def test_transparency_lies_on_white() -> None:
    image = Image.new("RGBA", (8, 8), (10, 20, 30, 0))
    assert decode(saved(image, "PNG"), POLICY).getpixel((3, 3)) == (255, 255, 255)
    palette = Image.new("P", (8, 8), 0)
    assert decode(saved(palette, "PNG", transparency=0), POLICY).getpixel((3, 3)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    levels = np.full((4, 4), 32768, np.uint16)
    got = decode(saved(Image.fromarray(levels), "PNG"), POLICY).getpixel((1, 1))
    assert got == (128, 128, 128)


def test_floats_are_scaled() -> None:
    got = decode(saved(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF"), POLICY).getpixel((1, 1))
    assert got == (128, 128, 128)


def test_exif_turns_the_photo_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = decode(saved(drawn(), "JPEG", exif=exif), POLICY)
    assert image.size == (40, 60)
    assert image.getpixel((20, 10))[1] < 40
    assert image.getpixel((20, 50))[1] > 240


def test_only_the_first_frame_is_seen() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((0, 200, 0), (200, 0, 0))]
    for kind in ("GIF", "WEBP"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        red, green, _ = decode(data, POLICY).getpixel((4, 4))
        assert green > 150 > 60 > red


def test_too_many_pixels_are_refused_before_decoding() -> None:
    data = saved(Image.new("L", (3000, 3000)), "PNG")
    with pytest.raises(ImageProblem, match="3000 x 3000") as caught:
        decode(data[:200], ImagePolicy(max_pixels=8_000_000))
    assert caught.value.state is ImageState.TOO_LARGE


def test_a_bomb_over_pillows_own_limit_is_too_large() -> None:
    head = saved(Image.new("1", (20_000, 20_000)), "PNG")[:400]
    with pytest.raises(ImageProblem) as caught:
        decode(head, POLICY)
    assert caught.value.state is ImageState.TOO_LARGE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_truncated_file_is_broken(kind: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    data = saved(Image.fromarray(noise), kind)
    with pytest.raises(ImageProblem) as caught:
        decode(data[: len(data) // 2], POLICY)
    assert caught.value.state is ImageState.BROKEN


@pytest.mark.parametrize(
    "data", [b"", b"<html>not found</html>", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF"]
)
def test_what_is_no_image_is_broken(data: bytes) -> None:
    with pytest.raises(ImageProblem) as caught:
        decode(data, POLICY)
    assert caught.value.state is ImageState.BROKEN


def test_a_large_jpeg_is_decoded_small_when_the_target_is_known() -> None:
    data = saved(drawn(size=(2400, 1600)), "JPEG")
    image = decode(data, POLICY, target=224)
    assert 224 <= min(image.size) < 448
    assert decode(data, POLICY).size == (2400, 1600)
