"""A picture with many titles is a placeholder; one with few titles, or of one product, is not."""

from __future__ import annotations

import pytest

from catalog.domain.image_state import ImageState
from catalog.domain.product import Content
from catalog.domain.space import IMAGE
from catalog.errors import ImageProblem
from encoders import EncodePolicy, EncoderService
from encoders.caching.placeholders import PlaceholderPolicy, Placeholders
from tests.encoders.conftest import Photos, picture, png
from tests.encoders.test_service import Colours

GREY, RED = png(picture("grey")), png(picture("red"))


def is_placeholder(placeholders: Placeholders, digest: str, title: str) -> bool:
    try:
        placeholders.check(digest, title)
    except ImageProblem as problem:
        return problem.state is ImageState.PLACEHOLDER
    return False


def test_it_takes_as_many_titles_as_the_policy_says_and_then_holds_for_all():
    seen = Placeholders(PlaceholderPolicy(titles=5))
    assert [is_placeholder(seen, "grey", f"thing {i}") for i in range(7)] == [False] * 4 + [True] * 3
    assert is_placeholder(seen, "grey", "thing 0")
    assert not is_placeholder(seen, "red", "thing 0")


def test_the_same_product_again_and_again_is_one_title():
    seen = Placeholders(PlaceholderPolicy(titles=5))
    assert not any(is_placeholder(seen, "red", "mug") for _ in range(100))


def test_only_the_last_pictures_are_kept_in_mind_and_a_placeholder_stays():
    seen = Placeholders(PlaceholderPolicy(titles=5, window=10))
    verdicts = []
    for i in range(100):
        is_placeholder(seen, f"own photo {i}", f"thing {i}")
        if i % 5 == 0:
            verdicts.append(is_placeholder(seen, "grey", f"thing {i}"))
        assert len(seen) <= 10
    assert verdicts == [False] * 4 + [True] * 16


def test_none_ever_is_with_zero():
    seen = Placeholders(PlaceholderPolicy(titles=0))
    assert not any(is_placeholder(seen, "grey", f"thing {i}") for i in range(100))
    assert len(seen) == 0


async def test_a_product_with_a_placeholder_is_encoded_from_its_title_or_its_next_photo() -> None:
    urls = {f"none-{i}": GREY for i in range(9)} | {"red": RED}
    policy = EncodePolicy(placeholders=PlaceholderPolicy(titles=4))
    async with EncoderService(Colours(), Photos(urls), policy) as service:
        contents = [Content(f"thing {i}", (f"none-{i}",)) for i in range(8)]
        for content in contents[:3]:
            (prepared,) = await service.prepare([content])
            assert prepared.image_state is ImageState.OK
        later = await service.encode(await service.prepare([*contents[3:], Content("last", ("none-8", "red"))]))
    states = [item.image_state for item in later if item]
    assert states == [ImageState.PLACEHOLDER] * 5 + [ImageState.OK]
    assert later[0]
    assert IMAGE not in later[0].vectors
    assert "4 products or more" in later[0].image_reason


@pytest.mark.parametrize(("images", "state"), [(("grey", "down"), "unavailable"), (("down", "grey"), "unavailable")])
async def test_a_photo_that_can_heal_is_what_is_told(images: tuple[str, ...], state: str) -> None:
    down = ImageProblem(ImageState.UNAVAILABLE, "it does not answer")
    policy = EncodePolicy(placeholders=PlaceholderPolicy(titles=1))
    async with EncoderService(Colours(), Photos({"grey": GREY, "down": down}), policy) as service:
        (prepared,) = await service.prepare([Content("mug", images)])
    assert prepared.image_state.value == state
