"""The shape of the source: how many modules a folder has, that a class name means one thing, and no import circle."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOTS = (
    *("catalog", "streams", "encoders", "indexer", "embedded", "search", "training", "evaluation", "liveshelf"),
    *("resilience", "benchmarks", "client/src/liveshelf_client"),
)
MOST_MODULES = 13
FILES = sorted(file for root in ROOTS for file in (ROOT / root).rglob("*.py"))
GLOSSARY = ROOT / "docs" / "glossary.md"


def module_of(file: Path) -> str:
    path = str(file.relative_to(ROOT)).removeprefix("client/src/").removesuffix(".py").removesuffix("/__init__")
    return path.replace("/", ".")


MODULES = {module_of(file): ast.parse(file.read_text("utf-8")) for file in FILES}


def test_no_folder_has_more_modules_than_a_reader_can_hold() -> None:
    level = Counter(file.parent for file in FILES if file.stem not in ("__init__", "__main__"))
    assert {str(folder.relative_to(ROOT)): count for folder, count in level.items() if count > MOST_MODULES} == {}


def test_a_class_name_is_defined_twice_only_if_the_glossary_says_so() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for module, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module)
    allowed = GLOSSARY.read_text("utf-8").partition("## Names used twice")[2]
    twice = {name: modules for name, modules in places.items() if len(modules) > 1}
    assert {name: modules for name, modules in twice.items() if f"`{name}`" not in allowed} == {}


def imports_of(module: str, tree: ast.Module) -> set[str]:
    """The modules of ours that this one imports, in a function too; what only a type checker imports is left out."""
    found: set[str] = set()
    typing = {inner for node in ast.walk(tree) if _for_types(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if node in typing:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in MODULES and name != module}


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter({module: imports_of(module, tree) for module, tree in MODULES.items()}).prepare()
    except CycleError as circle:
        raise AssertionError(" -> ".join(circle.args[1])) from None


def test_a_test_mirrors_a_module_or_a_package() -> None:
    """tests/X/test_Y.py tests the module X/Y, or stands where the package X is, for what several modules do."""
    mirrored = (
        "catalog",
        "streams",
        "encoders",
        "indexer",
        "embedded",
        "search",
        "training",
        "evaluation",
        "liveshelf",
    )
    folders = {file.parent.relative_to(ROOT) for file in FILES}
    lost = [
        str(file.relative_to(ROOT))
        for name in mirrored
        for file in (ROOT / "tests" / name).rglob("test_*.py")
        if file.parent.relative_to(ROOT / "tests") not in folders
    ]
    assert lost == []
