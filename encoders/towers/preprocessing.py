"""From a decoded photo to the square of bytes a model reads, and from a title to token ids. CPU only, any thread."""

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

# Shop titles are short; what stands behind 64 word pieces is delivery terms and keywords.
MAX_TOKENS = 64

_SPACES = re.compile(r"\s+")


def square(photo: Image.Image, size: int) -> Pixels:
    """A photo as uint8 RGB of shape (size, size, 3), resized bicubically without keeping its aspect.

    Squeezing keeps the whole product and spends every pixel on it, where cropping loses sleeves and padding loses
    resolution.
    """
    if photo.mode != "RGB":
        photo = photo.convert("RGB")
    if photo.size != (size, size):
        photo = photo.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(photo, dtype=np.uint8)


def tidy(title: str) -> str:
    """A title with every run of white space as one space; "" stands for a title that says nothing."""
    return _SPACES.sub(" ", title).strip()


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer file of a model, cut at MAX_TOKENS, without padding."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer
