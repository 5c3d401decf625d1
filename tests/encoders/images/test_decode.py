"""Too large images are not decoded, and others only at the size that the model needs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from encoders.images import ImagePolicy, decode
from encoders.towers.preprocessing import square
from tests.encoders.images.pictures import drawn, saved

POLICY = ImagePolicy()


def test_too_many_pixels_are_refused_before_decoding() -> None:
    data = saved(Image.new("L", (3000, 3000)), "PNG")
    with pytest.raises(ImageProblem, match="3000 x 3000") as caught:
        decode(data[:200], ImagePolicy(max_pixels=8_000_000))
    assert caught.value.state is ImageState.TOO_LARGE


def test_a_large_jpeg_is_decoded_small_when_the_target_is_known() -> None:
    data = saved(drawn(size=(2400, 1600)), "JPEG")
    image = decode(data, POLICY, target=224)
    assert 224 <= min(image.size) < 448
    assert decode(data, POLICY).size == (2400, 1600)


def shapes(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """Soft shapes of many sizes, as in photos, without details finer than the target."""
    side = 24
    rough = Image.fromarray(np.random.default_rng(2).integers(0, 256, (side, side, 3), np.uint8))
    return rough.resize(size, Image.Resampling.BICUBIC).convert(mode)


ODD = {
    "large": saved(shapes((2401, 1603)), "JPEG"),
    "no multiple of eight": saved(shapes((1037, 1029)), "JPEG"),
    "hardly larger than the target": saved(shapes((129, 131)), "JPEG"),
    "smaller than the target": saved(shapes((97, 63)), "JPEG"),
    "very wide": saved(shapes((3001, 257)), "JPEG"),
    "very high": saved(shapes((259, 3001)), "JPEG"),
    "grey": saved(shapes((1201, 901), "L"), "JPEG"),
    "four inks": saved(shapes((1201, 901), "CMYK"), "JPEG"),
    "in scans": saved(shapes((1201, 901)), "JPEG", progressive=True),
    "full colour": saved(shapes((1201, 901)), "JPEG", subsampling=0, quality=95),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_decoded_small_is_what_is_decoded_whole(name: str) -> None:
    full, small = (decode(ODD[name], POLICY, target=target) for target in (None, 128))
    assert small.width <= full.width
    assert min(small.size) >= min(128, *full.size)
    far = np.abs(square(full, 128).astype(int) - square(small, 128))
    assert far.mean() < 2
    assert np.percentile(far, 99) < 10


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_turned_the_same_when_it_is_decoded_small(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(shapes((1201, 601)), "JPEG", exif=exif)
    full, small = (square(decode(data, POLICY, target=target), 64).astype(int) for target in (None, 64))
    assert np.abs(full - small).mean() < 2


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_half_a_photo_is_refused_whether_it_is_decoded_small_or_not(keep: float) -> None:
    data = saved(shapes((1201, 901)), "JPEG")
    for target in (None, 128):
        with pytest.raises(ImageProblem, match="damaged"):
            decode(data[: int(len(data) * keep)], POLICY, target=target)
