"""A photo that comes again skips the model, and its vectors are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from catalog.domain.product import Content
from catalog.domain.space import FUSED, IMAGE
from encoders import EncodePolicy, EncoderService, load
from encoders.caching.image_features import FeatureCachePolicy, ImageFeatureCache, photo_digest
from encoders.model import Inputs, Rows, SplitModel
from tests.encoders.conftest import Photos, picture, png
from tests.encoders.models.test_load import saved_clip, saved_siglip
from tests.encoders.test_service import Colours

RED, BLUE = png(picture("red")), png(picture("blue"))


class Whole(Colours):
    """A model without a separate image tower; records its inputs."""

    def __init__(self) -> None:
        self.seen: list[Inputs] = []

    def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
        self.seen.extend(batch)
        return super().forward_items(batch)


class Split(Colours):
    """A model with a separate image tower that counts photos; if `broken`, its features are not finite."""

    broken = False

    def __init__(self) -> None:
        self.towered = 0

    def forward_photos(self, batch: Sequence[Inputs]) -> Rows:
        self.towered += len(batch)
        results = super().forward_items(batch)[IMAGE]
        return results * float("nan") if self.broken else results

    def forward_items(self, batch: Sequence[Inputs]) -> Mapping[str, Rows]:
        results = super().forward_items(batch)
        image = results[IMAGE].copy()
        for i, inputs in enumerate(batch):
            if inputs.features is not None:
                image[i] = inputs.features
        return {FUSED: results[FUSED] - results[IMAGE] + image, IMAGE: image}


async def encoded(service: EncoderService, *items: tuple[str, str]) -> list[Mapping[str, np.ndarray]]:
    contents = [Content(title, (url,) if url else ()) for title, url in items]
    results = await service.encode(await service.prepare(contents))
    assert all(item is not None for item in results)
    return [item.vectors for item in results if item]


def photos() -> Photos:
    return Photos({"red": RED, "also-red": RED, "blue": BLUE})


async def test_the_same_photo_on_two_products_and_under_two_urls_goes_through_the_tower_once() -> None:
    model = Split()
    async with EncoderService(model, photos()) as service:
        before = model.towered
        first = await encoded(service, ("mug", "red"), ("cup", "red"), ("lamp", ""))
        second = await encoded(service, ("mug", "also-red"), ("bowl", "blue"))
        assert model.towered - before == 2
        assert service.cache_hits == 2
    async with EncoderService(Colours(), photos(), EncodePolicy(cache=FeatureCachePolicy(entries=0))) as plain:
        expected = await encoded(plain, ("mug", "red"), ("cup", "red"), ("lamp", ""), ("bowl", "blue"))
        assert plain.cache_hits == 0
    for vectors, expected_vectors in zip([*first, second[1]], expected, strict=True):
        assert set(vectors) == set(expected_vectors)
        for name, vector in vectors.items():
            np.testing.assert_allclose(vector, expected_vectors[name], atol=1e-6)
    np.testing.assert_array_equal(second[0][FUSED], first[0][FUSED])


async def test_a_model_without_a_tower_for_photos_remembers_title_and_photo_together() -> None:
    model = Whole()
    assert not isinstance(model, SplitModel)
    async with EncoderService(model, photos()) as service:
        model.seen.clear()
        first = await encoded(service, ("mug", "red"))
        repeated = await encoded(service, ("mug", "also-red"), ("cups", "red"), ("mug", ""))
        assert len(model.seen) == 3
        assert service.cache_hits == 1
    np.testing.assert_array_equal(repeated[0][FUSED], first[0][FUSED])
    assert not np.allclose(repeated[1][FUSED], first[0][FUSED])


async def test_what_is_not_finite_is_not_remembered() -> None:
    model = Split()
    async with EncoderService(model, photos()) as service:
        model.broken = True
        (results,) = await service.encode(await service.prepare([Content("mug", ("red",))]))
        assert results is None
        model.broken = False
        await encoded(service, ("mug", "red"))
        assert service.cache_hits == 0


def test_a_digest_tells_pixels_shapes_and_types_apart() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    others = (pixels + 1, pixels.reshape(2, 8, 3), pixels.view(np.int8), pixels.astype(np.float32))
    assert photo_digest(pixels) == photo_digest(pixels.copy())
    assert len({photo_digest(p) for p in (pixels, *others)}) == 5
    assert photo_digest(pixels[:, ::-1]) == photo_digest(np.ascontiguousarray(pixels[:, ::-1]))


@pytest.mark.parametrize("name", ["builtin:small", "clip", "siglip"])
def test_the_models_here_offer_the_split_and_it_changes_nothing(tmp_path: Path, name: str) -> None:
    make = {"clip": saved_clip, "siglip": saved_siglip}.get(name)
    subject = load(f"hf:{make(tmp_path)}" if make else name)
    assert isinstance(subject, SplitModel)
    drawn = [subject.prepare(title, picture(colour)) for title, colour in (("a mug", "red"), ("a cup", "red"))]
    batch = [replace(i, digest=photo_digest(i.pixels)) for i in drawn if i.pixels is not None]
    batch.append(subject.prepare("a lamp", None))
    cache = ImageFeatureCache(subject, FeatureCachePolicy())
    plain = ImageFeatureCache(subject, FeatureCachePolicy()).items([replace(i, digest="") for i in batch])
    assert cache.items(batch)
    results = cache.items(batch)
    assert cache.hits == 3
    for item, other in zip(results, plain, strict=True):
        assert item is not None
        assert other is not None
        assert set(item) == set(other)
        for name, vector in item.items():
            assert float(vector @ other[name]) > 0.9999
