"""The data folder: one owner at a time, and files that are there whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embedded.errors import EmbeddedError


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold the folder, made if need be, for as long as the block runs. Raises EmbeddedError where another holds it.

    The lock is the kernel's (flock): it ends with the process that holds it, however that ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "engine.lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise EmbeddedError(
                f"{folder} is in use by another engine, process {holder}: stop that one or name another data folder."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def write_json(path: Path, content: Any) -> None:
    """Replace a file so that a reader, and a crash at any moment, sees the old content or the new, never a part."""
    draft = path.with_name(path.name + ".draft")
    with open(draft, "w", encoding="utf-8") as out:
        json.dump(content, out, indent=1)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's own entries (new names, renames) outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
