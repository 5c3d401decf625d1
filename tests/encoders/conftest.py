from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

import pytest
from PIL import Image, ImageDraw

from catalog.domain.image_state import ImageState
from catalog.errors import ImageProblem
from encoders.models.load import BUILTIN
from encoders.models.single_stream import SingleStreamModel


@pytest.fixture(scope="session")
def small() -> SingleStreamModel:
    return SingleStreamModel(BUILTIN, name="builtin:small")


class Photos:
    """An ImageSource over a dict: unknown URLs are MISSING, and a problem in the dict is raised."""

    def __init__(self, photos: Mapping[str, bytes | ImageProblem]) -> None:
        self.photos = photos
        self.fetched: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        photo = self.photos.get(url, ImageProblem(ImageState.MISSING, f"there is no {url}"))
        if isinstance(photo, ImageProblem):
            raise photo
        return photo


def picture(colour: str, *, shape: str = "ellipse", side: int = 160) -> Image.Image:
    """A shape of one colour on white."""
    image = Image.new("RGB", (side, side), "white")
    box = (side // 5, side // 5, side - side // 5, side - side // 5)
    pen = ImageDraw.Draw(image)
    (pen.ellipse if shape == "ellipse" else pen.rectangle)(box, fill=colour)
    return image


def png(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
