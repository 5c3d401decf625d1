"""The built client in an environment of its own, and what goes into the image's build context."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from release.artifacts import allowed, build, build_context
from release.checks import check_client

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(240)
def test_the_built_client_is_typed_and_searches(tmp_path: Path) -> None:
    wheel, sdist = build(ROOT / "client", tmp_path)
    assert (wheel.suffix, sdist.suffix) == (".whl", ".gz")
    check_client(tmp_path, wheel)


def test_the_build_context_is_what_dockerignore_lets_in(tmp_path: Path) -> None:
    with tarfile.open(build_context(ROOT, tmp_path)) as tar:
        names = tar.getnames()
    assert {name.partition("/")[0] for name in names} == {"Dockerfile", ".dockerignore", *allowed(ROOT)}
    assert not [name for name in names if name.endswith((".pyc", ".egg-info"))]
