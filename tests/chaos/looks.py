"""The vectors that every title makes with every picture, encoded one by one beside the shop."""

from __future__ import annotations

import io

from PIL import Image

from encoders import load
from encoders.model import finish_items
from tests.chaos.photos import PICTURES, picture
from tests.chaos.schedule import TITLES
from tests.chaos.verdict import Vectors


def draw_looks(model_name: str) -> dict[tuple[str, int | None], Vectors]:
    """By title and picture; None stands for no picture."""
    model = load(model_name, threads=1)
    looks: dict[tuple[str, int | None], Vectors] = {}
    for title in TITLES:
        for number in (None, *range(PICTURES)):
            photo = None if number is None else Image.open(io.BytesIO(picture(number))).convert("RGB")
            inputs = [model.prepare(title, photo)]
            (made,) = finish_items(model.forward_items(inputs), inputs)
            assert made is not None
            looks[title, number] = made
    return looks
