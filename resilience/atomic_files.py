"""Files that are written whole or not at all: a reader, or a crash at any moment, sees the old content or the new."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_atomically(path: Path, data: bytes | str, *, mode: int | None = None, fsync: bool = True) -> None:
    """Replace the content of a file; text is written in UTF-8. After an error the old file is unchanged.

    `mode` holds the permission bits of the new file (None: 0o666), of which the process's umask is taken away. With
    `fsync` the content and the file's name survive a power cut once this returns. Raises OSError.
    """
    content = data.encode() if isinstance(data, str) else data
    with replacing(path, fsync=fsync) as temporary:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(temporary, flags, 0o666 if mode is None else mode), "wb") as out:
            out.write(content)


@contextmanager
def replacing(path: Path, *, fsync: bool = True) -> Iterator[Path]:
    """A temporary path in the folder of `path`: the file written there inside replaces `path` at the end.

    If the block raises, the temporary file is deleted and `path` is unchanged. A killed process may leave it behind;
    `is_temporary` recognises it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        if fsync:
            _sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    if fsync:
        _sync(path.parent)


def is_temporary(file: Path, path: Path) -> bool:
    """Whether `file` is a temporary file of `replacing(path)`."""
    return file.parent == path.parent and file.name.startswith(f".{path.name}.") and file.name.endswith(".tmp")


def _sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
