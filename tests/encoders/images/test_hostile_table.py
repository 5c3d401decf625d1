"""The table of hostile and unusual photos, row by row, against real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from catalog.errors import ImageProblem
from encoders.images import FetchRetryPolicy, ImageFetcher, ImagePolicy, decode
from encoders.images.egress_guard import resolve
from tests.encoders.images import hosts
from tests.encoders.images.table import SCHEMES, TABLE, Row

POLICY = ImagePolicy(
    allow_hosts=("shop.example", "203.0.113.7"),
    max_bytes=1_000_000,
    connect_timeout_s=0.3,
    read_timeout_s=0.3,
    total_timeout_s=0.6,
    retry=FetchRetryPolicy(tries=1),
)
NAMES = {
    "shop.example": ["127.0.0.1"],
    "private.example": ["10.0.0.5"],
    "metadata.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "scoped.example": ["fe80::1%lo"],
    "two.example": ["203.0.113.7", "127.0.0.1"],
    "none.example": [],
}


@pytest.fixture(scope="module")
def host() -> Iterator[hosts.Host]:
    with hosts.serving() as host:
        yield host


@pytest.fixture(scope="module")
def deaf() -> Iterator[int]:
    with hosts.deaf() as port:
        yield port


def rebinding() -> Callable[[str, int], Any]:
    """A resolver of NAMES; rebound.example is public the first time, and private afterwards."""
    paths: list[str] = []

    async def names(name: str, port: int) -> list[str]:
        name = name.lower().rstrip(".")
        if name == "rebound.example":
            paths.append(name)
            return ["127.0.0.1"] if len(paths) == 1 else ["10.0.0.9"]
        if name in NAMES:
            return NAMES[name]
        if len(name) < 64 and name[-1:].isalpha() and ":" not in name and name != "localhost":
            raise OSError("name not known")
        return await resolve(name, port)

    return names


async def becomes(url: str, policy: ImagePolicy) -> Image.Image | ImageProblem:
    async with ImageFetcher(policy, resolve=rebinding()) as images:
        try:
            return decode(await images.fetch(url), policy)
        except ImageProblem as problem:
            return problem


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
async def test_what_becomes_of_it(row: Row, host: hosts.Host, deaf: int) -> None:
    host.paths.clear()
    url = row.url.replace("{port}", str(host.port)).replace("{deaf}", str(deaf))
    policy = replace(POLICY, **row.policy)
    if "rebound" in url:
        policy = replace(policy, allow_hosts=("127.0.0.1",))
    if row.body is not None:
        host.answers["upload"] = hosts.reply(row.body)
        url = "upload"
        policy = replace(policy, max_bytes=30_000_000, total_timeout_s=10.0)
    if row not in SCHEMES and not url.startswith("http"):
        url = f"http://shop.example:{host.port}/{url}"
    outcome = await becomes(url, policy)
    if isinstance(outcome, ImageProblem):
        problem_text = f"{outcome.state}: {outcome.reason}"
        assert not callable(row.outcome), problem_text
        state, expected_reason = row.outcome
        assert outcome.state is state, problem_text
        assert expected_reason in outcome.reason, problem_text
        assert len(problem_text.split()) > 3
        assert "secret" not in problem_text
    else:
        assert callable(row.outcome), f"a picture of {outcome.size}"
        assert outcome.mode == "RGB"
        assert row.outcome(outcome)
    if row.reached is False:
        assert not host.paths


def test_the_rows_have_names_of_their_own() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE) >= 80
