"""What decoding spares: nothing is decoded that is too large, and no more of it than the model looks at."""

from __future__ import annotations

import pytest
from PIL import Image

from catalog.errors import ImageProblem
from catalog.product import ImageState
from encoders.images import ImagePolicy, decode
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
