"""The examples of docs/search.md, asked."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from catalog.domain.product import ProductKey
from tests.search.shop import data_url, photo, stocked

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```json search\n(.*?)\n```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES)
async def test_an_example_of_a_search_is_answered_whole(example: str) -> None:
    shop = stocked()
    shop.shelf.products[ProductKey("default", "mug")]["attributes"]["parent"] = "p1"
    asked = re.sub(r"data:image/png;base64,[^\"]*", data_url(photo()), example)
    async with shop.client() as client:
        response = await client.post("/v1/search", content=asked, headers={"content-type": "application/json"})
    assert response.status_code == httpx.codes.OK, response.text
    assert response.json()["degraded"] == []
    assert response.json()["hits"]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6
