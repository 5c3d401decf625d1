"""The file that exists while a process is ready."""

from __future__ import annotations

import os

from catalog.errors import InvalidInput
from liveshelf.settings import Settings


def check_ready_file(settings: Settings) -> None:
    """Raises InvalidInput if the ready file of the settings cannot be written. Call it before slow work."""
    file = settings.ready_file
    if file is None:
        return
    if not file.parent.is_dir():
        problem = f"there is no folder {file.parent}"
    elif file.is_dir():
        problem = "it is a folder"
    elif not os.access(file.parent, os.W_OK):
        problem = f"this user may not write to {file.parent}"
    else:
        return
    raise InvalidInput(f"LIVESHELF_READY_FILE={file}: {problem}. Name a file in a folder that you can write to.")
