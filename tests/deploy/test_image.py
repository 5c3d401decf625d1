"""The Dockerfile: pinned, unprivileged, complete, and without addresses or secrets."""

from __future__ import annotations

import re

from liveshelf.settings import PREFIX, Settings
from tests.deploy.files import DOCKERFILE, ROOT, image_environment, instructions, project


def arguments_of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def test_the_base_has_a_version_that_the_project_allows():
    bases = {rest.split()[0] for rest in arguments_of("FROM")}
    assert bases == {"python:3.11-slim-bookworm"}
    assert project()["project"]["requires-python"] == ">=3.11"


def test_it_runs_as_an_unprivileged_user():
    user = arguments_of("USER")[-1]
    assert user.isdigit()
    assert int(user) >= 1000


def test_everything_installed_is_pinned():
    installs = [rest for rest in arguments_of("RUN") if "install" in rest and "useradd" not in rest]
    assert installs
    for rest in installs:
        assert re.search(r"uv==\d+\.\d+\.\d+|--constraints constraints\.txt|--build-constraints constraints\.txt", rest)


def test_the_installer_is_the_one_of_the_makefile():
    pinned = re.search(r"uv==[\d.]+", (ROOT / "Makefile").read_text("utf-8"))
    assert pinned
    assert pinned.group() in " ".join(arguments_of("RUN"))


def test_no_address_and_no_secret_is_built_in():
    text = DOCKERFILE.read_text("utf-8")
    assert "://" not in text
    assert not re.search(r"(?i)password|secret|token|api_key", text)
    assert arguments_of("ARG") == ['TORCH_INDEX=""']


def test_its_variables_are_settings():
    ours = {name for name in image_environment() if name.startswith("LIVESHELF")}
    assert ours <= {PREFIX + field.upper() for field in Settings.model_fields}


def test_the_build_context_has_every_package_and_build_file():
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    packages = {name.removesuffix("*") for name in project()["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert lines[1] == "*"
    assert allowed == packages | {"client", "README.md", "LICENSE", "pyproject.toml", "constraints.txt"}
    assert all((ROOT / name).exists() for name in allowed)


def test_the_container_is_the_command():
    assert arguments_of("ENTRYPOINT") == ['["liveshelf"]']
    assert "liveshelf" in project()["project"]["scripts"]
