from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from encoders.models.single_stream import SingleStreamModel
from encoders.towers.preprocessing import MAX_TOKENS, square, tidy


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "1"])
def test_any_photo_becomes_a_square_of_rgb_bytes(mode: str) -> None:
    pixels = square(Image.new(mode, (60, 80)), 32)
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8


def test_a_photo_of_one_colour_keeps_it() -> None:
    assert (square(Image.new("RGB", (300, 200), (200, 30, 40)), 64) == (200, 30, 40)).all()


def test_white_space_is_no_part_of_a_title() -> None:
    assert tidy("  Red \n\t mug ") == "Red mug"


def test_a_title_is_cut_and_no_title_is_no_tokens(small: SingleStreamModel) -> None:
    photo = Image.new("RGB", (8, 8))
    assert len(small.prepare("mug " * 500, photo).tokens) == MAX_TOKENS
    assert small.prepare(" \n", photo).tokens == ()
    assert small.prepare("", None).tokens, "nothing at all is read as the empty title"
