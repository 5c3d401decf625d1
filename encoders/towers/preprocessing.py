"""Turns a decoded photo into a square of bytes, and a title into token ids. CPU only, in any thread."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Pixels = NDArray[np.uint8]
Tokens = tuple[int, ...]

# Shop titles are short: after 64 word pieces follow delivery terms and keywords.
MAX_TOKENS = 64

_SPACES = re.compile(r"\s+")


def square(photo: Image.Image, size: int) -> Pixels:
    """A photo as uint8 RGB of shape (size, size, 3), resized bicubically without keeping its aspect ratio.

    Squeezing keeps the whole product at full resolution; cropping would lose its edges, padding its resolution.
    """
    if photo.mode != "RGB":
        photo = photo.convert("RGB")
    if photo.size != (size, size):
        photo = photo.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(photo, dtype=np.uint8)


def tidy(title: str) -> str:
    """A title with each run of white space as one space; "" for a blank title."""
    return _SPACES.sub(" ", title).strip()


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a file, which truncates at MAX_TOKENS and does not pad."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer
