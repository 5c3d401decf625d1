"""Exports that are kept on disk: whole, of these weights, and agreeing with torch, or made anew."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from contextlib import suppress
from hashlib import blake2b, sha256
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from encoders.runtime.tower import Array, Runtime, Tower, TowerError, TowerPlan

log = logging.getLogger(__name__)

LAYOUT = 1
"""Of what lies in an export's folder; another is not read."""

LEAST_COSINE = 0.99
"""Of a row of the example's output to torch's. What is wrong is far below, and what rounds differently above."""

KEPT_DAYS = 30
"""An export that was not used for so long is deleted when another is written."""

_MANIFEST, _EXAMPLE = "export.json", "example.safetensors"


def from_export(plan: TowerPlan, runtime: Runtime, folder: Path) -> Tower:
    """The tower from its export below `folder`, which is made where none is, or where it is damaged.

    Raises TowerError where the runtime cannot, or does not agree with torch.
    """
    where = folder / f"{plan.name}-{_key(plan, runtime)}"
    if where.exists():
        try:
            _check_files(where)
            tower = _agreeing(runtime.load(where), where)
            with suppress(OSError):
                where.touch()
            return tower
        except (OSError, ValueError, KeyError, SafetensorError, TowerError) as err:
            log.warning("The export %s is of no use and is made anew: %s.", where, err)
            _remove(where)
    return _made(plan, runtime, where)


def _made(plan: TowerPlan, runtime: Runtime, where: Path) -> Tower:
    new = _new_folder(where.parent)
    try:
        runtime.export(plan, new)
        given = {f"input{n}": np.ascontiguousarray(array) for n, array in enumerate(plan.example)}
        save_file({**given, "output": _in_torch(plan)}, new / _EXAMPLE)
        (new / _MANIFEST).write_text(json.dumps({"layout": LAYOUT, "files": _digests(new)}), "utf-8")
        there = _put(new, where)
        return _agreeing(runtime.load(there), there)
    except OSError as err:
        raise TowerError(f"{where} cannot be written: {err}") from err
    finally:
        _remove(new)


def _in_torch(plan: TowerPlan) -> Array:
    # Where all exports are kept torch is not loaded: that would be 500 MB of memory and three seconds of a start.
    from encoders.runtime.torch_eager import TorchTower

    return np.ascontiguousarray(TorchTower(plan)(*plan.example))


def _put(new: Path, where: Path) -> Path:
    """Where the new export is, after it was moved there if nobody was quicker."""
    try:
        new.rename(where)
    except OSError:
        return new
    _remove_old(where.parent)
    return where


def _new_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    except OSError as err:
        log.warning("Nothing can be kept in %s, so the model is made ready at each start: %s.", folder, err)
        return Path(tempfile.mkdtemp(prefix="liveshelf-tower-"))


def _agreeing(tower: Tower, folder: Path) -> Tower:
    kept = load_file(folder / _EXAMPLE)
    expected = kept.pop("output")
    found = tower(*(kept[f"input{n}"] for n in range(len(kept))))
    cosine = _least_cosine(found, expected)
    if not cosine >= LEAST_COSINE:
        raise TowerError(f"its output is not that of torch, of which it has a cosine of {cosine:.3f}")
    return tower


def _least_cosine(found: Array, expected: Array) -> float:
    if found.shape != expected.shape:
        return float("nan")
    a, b = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (found, expected))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / np.maximum(lengths, 1e-12)).min())


def _check_files(folder: Path) -> None:
    manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
    if manifest["layout"] != LAYOUT:
        raise ValueError("it is of another version of liveshelf")
    if _digests(folder) != manifest["files"]:
        raise ValueError("its files are not those that were written")


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name != _MANIFEST:
            whole = sha256()  # twice as fast as blake2b where processors have an instruction for it
            with path.open("rb") as stream:
                while chunk := stream.read(1 << 20):
                    whole.update(chunk)
            found[path.name] = whole.hexdigest()
    return found


def _key(plan: TowerPlan, runtime: Runtime) -> str:
    said = json.dumps([LAYOUT, plan.weights, plan.code, plan.shapes, runtime.version])
    return blake2b(said.encode(), digest_size=8).hexdigest()


def _remove(folder: Path) -> None:
    # Another process may have its files in memory, which some systems do not let go of.
    shutil.rmtree(folder, ignore_errors=True)


def _remove_old(folder: Path) -> None:
    before = time.time() - KEPT_DAYS * 86_400
    for path in folder.iterdir():
        with suppress(OSError):
            if path.stat().st_mtime < before:
                _remove(path)
