"""liveshelf search, against a service that listens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from catalog.errors import Unavailable
from liveshelf.cli import main
from tests.liveshelf.service import listening, of
from tests.search.shop import Shop, photo, stocked


@pytest.fixture
def shop() -> Shop:
    return stocked()


@pytest.fixture
def url(shop: Shop) -> Iterator[str]:
    with listening(of(shop)) as url:
        yield url


def search(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["search", "--url", url, *arguments], terminal_width=200)


def test_hits_are_a_table(url: str) -> None:
    result = search(url, "sea green mug", "--limit", "2", "--filter", "tenant=default")
    assert result.exit_code == 0, result.output
    heading, best, *_ = result.output.splitlines()
    assert heading.split() == ["score", "id", "title", "price", "age"]
    assert best.split() == ["1.000", "mug", "sea", "green", "mug", "12.50", "EUR", "9.9", "s"]


def test_as_json_it_is_all_that_the_service_says(url: str) -> None:
    result = search(url, "brass lamp", "--json", "--mode", "hybrid", "--filter", '{"price": {"gte": 50}}')
    answer = json.loads(result.output)
    assert [hit["id"] for hit in answer["hits"]] == ["lamp"]
    assert answer["hits"][0]["attributes"]["category"] == ["lamps", "desk"]
    assert (answer["mode"], answer["degraded"]) == ("hybrid", [])


def test_a_photo_alone_and_nothing_found(shop: Shop, url: str, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(photo())
    assert "mug" in search(url, "--image", str(file)).output
    assert shop.encoder.calls == [(None, photo())]
    assert search(url, "mug", "--filter", "brand=nobody").output == "Nothing found.\n"


def test_what_the_service_says_no_to_is_its_sentence(url: str) -> None:
    result = search(url, "mug", "--limit", "2000")
    assert result.exit_code == 1
    assert result.output == "Error: limit: 2000 is not between 1 and 1000\n"


def test_an_incomplete_answer_says_what_is_missing(shop: Shop, url: str) -> None:
    shop.encoder.failure = Unavailable("the device is lost")
    result = search(url, "brass lamp")
    assert result.exit_code == 0
    assert "The answer is incomplete: encoder: the device is lost" in result.stderr
    assert "lamp" in result.stdout
