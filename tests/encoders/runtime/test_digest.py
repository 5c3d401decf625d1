"""The name of an export has a digest of its code: a change of any module makes another export."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from encoders.runtime import int8, plans
from encoders.runtime.digest import digest, module_files

ROOT = Path(__file__).parents[3]

# Runs in a copy of the package. Prints the code digests, then those after a change of each module in turn.
CHANGE_EACH = """
import json, sys
from pathlib import Path
import encoders
from encoders.runtime import int8, plans
from encoders.runtime.digest import module_files
from encoders.towers.dims import TowerShape

weights = Path(sys.argv[1])
here = Path(encoders.__file__).parent

def codes():
    backbone = plans.text_plan(weights)
    assert plans.pooled_plan(weights, 64).code == plans.grid_plan(weights, 64).code == backbone.code
    return backbone.code, plans.part_plan(weights, "query", TowerShape()).code, int8.in_int8(backbone).code

out = {"": codes()}
for module in (*plans.STREAM_MODULES, *int8.MODULES):
    (file,) = module_files(module)
    assert file.is_relative_to(here)
    before = file.read_bytes()
    file.write_bytes(before + b"# changed")
    out[module] = codes()
    file.write_bytes(before)
print(json.dumps([out, "torch" in sys.modules]))
"""


def test_every_module_of_a_digest_has_a_file_and_an_unknown_one_is_an_error() -> None:
    files = module_files(*plans.STREAM_MODULES, *int8.MODULES)
    assert len(set(files)) == len(plans.STREAM_MODULES) + len(int8.MODULES)
    assert all(file.is_file() and file.suffix == ".py" for file in files)
    with pytest.raises(ModuleNotFoundError, match=r"encoders\.runtime\.missing"):
        module_files("encoders.runtime.missing")


def test_a_change_of_any_module_changes_the_digest_and_torch_is_not_imported(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "encoders", tmp_path / "encoders", ignore=shutil.ignore_patterns("__pycache__", "small.*"))
    weights = tmp_path / "weights"
    weights.write_bytes(b"any")
    run = subprocess.run(
        [sys.executable, "-c", CHANGE_EACH, weights],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    codes, torch_is_loaded = json.loads(run.stdout)
    assert not torch_is_loaded
    backbone, stream, rounded = codes.pop("")
    for module, changed in codes.items():
        assert (changed[0] != backbone) == (module in plans.BACKBONE_MODULES)
        assert (changed[1] != stream) == (module in plans.STREAM_MODULES)
        assert (changed[2] != rounded) == (module in (*plans.BACKBONE_MODULES, *int8.MODULES))


def test_a_digest_is_of_the_bytes_of_all_its_files(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "other"
    first.write_bytes(b"a")
    second.write_bytes(b"b")
    both = digest(first, second)
    assert len(both) == 16
    second.write_bytes(b"c")
    assert digest(first, second) != both
