"""Digests of files: they name weights, and the code that an export was made by."""

from __future__ import annotations

from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path


def digest(*files: Path) -> str:
    """16 hex digits that differ whenever the bytes of one of the files do."""
    total = blake2b(digest_size=8)
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                total.update(chunk)
    return total.hexdigest()


def code_digest(*modules: str) -> str:
    """The digest of the source files of modules."""
    return digest(*module_files(*modules))


def module_files(*names: str) -> tuple[Path, ...]:
    """The source files of modules, which are not imported themselves: some of them import torch."""
    files = []
    for name in names:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"the module {name} has no source file", name=name)
        files.append(Path(spec.origin))
    return tuple(files)
