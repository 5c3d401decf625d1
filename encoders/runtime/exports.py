"""Exports of towers on disk. An export that is damaged, stale or disagrees with torch is made again."""

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
"""The version of the folder's layout. Other versions are not read."""

MIN_COSINE = 0.99
"""Between a row of the example's output and torch's. Errors are far below it, rounding stays above it."""

KEPT_DAYS = 30
"""An export that has not been used for this long is deleted when another is written."""

_MANIFEST, _EXAMPLE = "export.json", "example.safetensors"


def from_export(plan: TowerPlan, runtime: Runtime, folder: Path) -> Tower:
    """The tower from its export below `folder`, which is made if it is missing or damaged.

    Raises TowerError if the runtime cannot run it, or does not agree with torch.
    """
    path = folder / f"{plan.name}-{_key(plan, runtime)}"
    if path.exists():
        try:
            _check_files(path)
            tower = _verified(runtime.load(path), path)
            with suppress(OSError):
                path.touch()
            return tower
        except (OSError, ValueError, KeyError, SafetensorError, TowerError) as err:
            log.warning("The export %s cannot be used and is made again: %s.", path, err)
            _remove(path)
    return _exported(plan, runtime, path)


def _exported(plan: TowerPlan, runtime: Runtime, path: Path) -> Tower:
    new = _new_folder(path.parent)
    try:
        runtime.export(plan, new)
        inputs = {f"input{n}": np.ascontiguousarray(array) for n, array in enumerate(plan.example)}
        save_file({**inputs, "output": _torch_output(plan)}, new / _EXAMPLE)
        (new / _MANIFEST).write_text(json.dumps({"layout": LAYOUT, "files": _digests(new)}), "utf-8")
        final = _move(new, path)
        return _verified(runtime.load(final), final)
    except OSError as err:
        raise TowerError(f"{path} cannot be written: {err}") from err
    finally:
        _remove(new)


def _torch_output(plan: TowerPlan) -> Array:
    # Imported here: a process that finds all exports on disk saves 500 MB of memory and three seconds of its start.
    from encoders.runtime.torch_eager import TorchTower

    return np.ascontiguousarray(TorchTower(plan)(*plan.example))


def _move(new: Path, path: Path) -> Path:
    """Move the new export to its path, unless another process was faster. Returns the export's folder."""
    try:
        new.rename(path)
    except OSError:
        return new
    _remove_old(path.parent)
    return path


def _new_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    except OSError as err:
        log.warning("Exports cannot be stored in %s, so the model is prepared at each start: %s.", folder, err)
        return Path(tempfile.mkdtemp(prefix="liveshelf-tower-"))


def _verified(tower: Tower, folder: Path) -> Tower:
    example = load_file(folder / _EXAMPLE)
    expected = example.pop("output")
    output = tower(*(example[f"input{n}"] for n in range(len(example))))
    cosine = _min_cosine(output, expected)
    if not cosine >= MIN_COSINE:
        raise TowerError(f"its output disagrees with torch's: their cosine is {cosine:.3f}")
    return tower


def _min_cosine(output: Array, expected: Array) -> float:
    if output.shape != expected.shape:
        return float("nan")
    a, b = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (output, expected))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / np.maximum(lengths, 1e-12)).min())


def _check_files(folder: Path) -> None:
    manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
    if manifest["layout"] != LAYOUT:
        raise ValueError("it is of another version of liveshelf")
    if _digests(folder) != manifest["files"]:
        raise ValueError("its files have changed after they were written")


def _digests(folder: Path) -> dict[str, str]:
    digests = {}
    for path in sorted(folder.iterdir()):
        if path.name != _MANIFEST:
            digest = sha256()  # twice as fast as blake2b on processors with an instruction for it
            with path.open("rb") as stream:
                while chunk := stream.read(1 << 20):
                    digest.update(chunk)
            digests[path.name] = digest.hexdigest()
    return digests


def _key(plan: TowerPlan, runtime: Runtime) -> str:
    content = json.dumps([LAYOUT, plan.weights, plan.code, plan.shapes, runtime.version])
    return blake2b(content.encode(), digest_size=8).hexdigest()


def _remove(folder: Path) -> None:
    # Some systems refuse to delete files that another process has mapped.
    shutil.rmtree(folder, ignore_errors=True)


def _remove_old(folder: Path) -> None:
    oldest = time.time() - KEPT_DAYS * 86_400
    for path in folder.iterdir():
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                _remove(path)
