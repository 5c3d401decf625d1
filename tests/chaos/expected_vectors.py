"""The expected vectors of every title with every picture, encoded one by one outside the shop."""

from __future__ import annotations

import io

from PIL import Image

from encoders import load
from encoders.model import finish_items
from tests.chaos.photos import PICTURES, picture
from tests.chaos.schedule import TITLES
from tests.chaos.verdict import Vectors


def encode_expected(model_name: str) -> dict[tuple[str, int | None], Vectors]:
    """Vectors by title and picture, None for no picture."""
    model = load(model_name, threads=1)
    vectors: dict[tuple[str, int | None], Vectors] = {}
    for title in TITLES:
        for number in (None, *range(PICTURES)):
            photo = None if number is None else Image.open(io.BytesIO(picture(number))).convert("RGB")
            inputs = [model.prepare(title, photo)]
            (item,) = finish_items(model.forward_items(inputs), inputs)
            assert item is not None
            vectors[title, number] = item
    return vectors
