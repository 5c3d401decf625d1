"""The metadata of both distributions: versions, bounds, and extras that cover what the code imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import click
import pytest

from liveshelf.cli import COMMANDS
from liveshelf.extras import COMMAND_EXTRAS, EXTRA_MODULES

ROOT = Path(__file__).parents[2]
SERVER = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CLIENT = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text("utf-8"))
EXTRAS: dict[str, list[str]] = SERVER["project"]["optional-dependencies"]
BASE: list[str] = SERVER["project"]["dependencies"]

# The extras that a package may import from, beside what is always installed.
PACKAGE_EXTRAS = {
    "catalog": [],
    "resilience": [],
    "streams": ["worker"],
    "encoders": ["encoders"],
    "indexer": ["encoders"],
    "search": ["search"],
    "embedded": ["embedded"],
    "evaluation": ["train"],
    "training": ["train"],
    "liveshelf": ["all"],
}
# A library that another one brings at one exact version.
BROUGHT = {"pydantic-core": "pydantic"}
REQUIREMENT = re.compile(r"^([a-z0-9][a-z0-9-]*)(?:\[([a-z0-9,]+)\])?(.*)$")


def parsed(requirement: str) -> tuple[str, list[str], str]:
    match = REQUIREMENT.match(requirement)
    assert match, requirement
    return match[1], (match[2] or "").split(","), match[3]


def distributions(extra: str) -> set[str]:
    """The names of the distributions that the extra requires, through other extras too."""
    names = set()
    for requirement in EXTRAS[extra]:
        name, extras, _ = parsed(requirement)
        names |= set().union(*map(distributions, extras)) if name == "liveshelf" else {name}
    return names


def imports(package: str) -> Iterator[str]:
    """The top-level names that the modules of a package import, inside functions too."""
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                yield str(node.module).partition(".")[0]


BASE_NAMES = {parsed(requirement)[0] for requirement in BASE}
PROVIDERS = packages_distributions() | {"liveshelf_client": ["liveshelf-client"], "google": ["protobuf"]}


@pytest.mark.parametrize("package", PACKAGE_EXTRAS)
def test_the_extras_of_a_package_cover_its_imports(package: str) -> None:
    allowed = BASE_NAMES.union(*map(distributions, PACKAGE_EXTRAS[package]))
    for name in set(imports(package)) - sys.stdlib_module_names - set(PACKAGE_EXTRAS):
        providers = {re.sub(r"[-_.]+", "-", provider.lower()) for provider in PROVIDERS[name]}
        assert {BROUGHT.get(provider, provider) for provider in providers} & allowed, name


def test_every_package_is_in_the_table() -> None:
    packages = {name.removesuffix("*") for name in SERVER["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages == set(PACKAGE_EXTRAS)
    assert all((ROOT / package / "py.typed").exists() for package in packages)


def test_serving_needs_no_training_library() -> None:
    assert not {"timm", "bm25s", "psutil"} & (distributions("worker") | distributions("search"))
    assert {"timm"} <= distributions("train") <= distributions("all") <= distributions("dev")


def test_the_modules_of_the_sentence_are_those_that_extras_bring() -> None:
    names = {"PIL": "pillow", "faust": "faust-streaming", "google": "protobuf", "grpc": "grpcio", "h2": "httpx"}
    names |= {"mode": "mode-streaming", "kafka": "kafka-python", "qdrant_edge": "qdrant-edge-py"}
    spelt = {names.get(module, module.replace("_", "-")) for module in EXTRA_MODULES}
    assert spelt == distributions("all") - (BASE_NAMES - {"httpx"})


def test_every_command_that_needs_an_extra_names_one_that_exists() -> None:
    assert set(COMMANDS) - set(COMMAND_EXTRAS) == {"search", "schema"}
    assert set(COMMAND_EXTRAS.values()) <= set(EXTRAS)


@pytest.mark.parametrize("extra", ["dependencies", *EXTRAS])
def test_every_dependency_has_both_bounds_around_its_constraint(extra: str) -> None:
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE))
    pins["liveshelf-client"] = CLIENT["project"]["version"]
    for requirement in BASE if extra == "dependencies" else EXTRAS[extra]:
        name, _, bounds = parsed(requirement)
        if name == "liveshelf":
            continue
        match = re.fullmatch(r">=([\d.]+),<([\d.]+)", bounds)
        assert match, requirement
        least, pin, limit = (numbers(version) for version in (match[1], pins[name], match[2]))
        assert least <= pin < limit, requirement


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def test_both_distributions_have_the_version_of_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## (\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert newest
    assert SERVER["project"]["version"] == CLIENT["project"]["version"] == newest[1]
    assert (ROOT / "client" / "LICENSE").read_text("utf-8") == (ROOT / "LICENSE").read_text("utf-8")


WITHOUT = """
import sys
from importlib.abc import MetaPathFinder
from liveshelf.extras import EXTRA_MODULES

class Absent(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in EXTRA_MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from liveshelf.cli import main
main(prog_name="liveshelf")
"""


def without_extras(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("arguments", [["schema"], ["--help"], ["search", "--help"]])
def test_the_base_install_has_a_command_line(arguments: list[str]) -> None:
    done = without_extras(*arguments)
    assert done.returncode == 0, done.stderr
    if arguments == ["--help"]:
        assert re.search(r"quarantine +\(needs liveshelf\[worker\]\)", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "extra"), [(["worker"], "worker"), (["serve"], "search"), (["keys", "list"], "search")]
)
def test_a_missing_extra_is_one_sentence(arguments: list[str], extra: str) -> None:
    done = without_extras(*arguments)
    assert done.returncode == 1
    assert f"pip install 'liveshelf[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_another_missing_module_stays_an_error() -> None:
    from liveshelf.cli import raise_missing_extra

    raise_missing_extra("worker", ModuleNotFoundError(name="ours_misspelt"))
    with pytest.raises(click.ClickException, match="worker"):
        raise_missing_extra("worker", ModuleNotFoundError(name="faust.types"))
