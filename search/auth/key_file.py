"""The keys of a running service, reloaded when their file changes: a revoked key stops working within a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from catalog.errors import InvalidInput
from search.auth.api_key import Grant, find_grant, read_grants

log = logging.getLogger(__name__)

CHECK_INTERVAL_S = 1.0


class KeyFile:
    """The grants in a file of keys. Raises InvalidInput if the file is not valid or contains no keys."""

    def __init__(self, file: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._version = _file_version(file)
        self._checked_at = clock()
        self._grants = {grant.id: grant for grant in read_grants(file)}
        if not self._grants:
            raise InvalidInput(
                f"there is no key in {file}: create one with `liveshelf keys add NAME`,"
                " or unset LIVESHELF_API_KEYS_FILE"
            )

    def find(self, key: str) -> Grant | None:
        """The grant of a key, or None if it is unknown. Does not check whether the key has expired."""
        self._reload_if_changed()
        return find_grant(self._grants, key)

    def _reload_if_changed(self) -> None:
        if self._clock() - self._checked_at < CHECK_INTERVAL_S:
            return
        self._checked_at = self._clock()
        version = _file_version(self._file)
        if version == self._version:
            return
        self._version = version
        try:
            self._grants = {grant.id: grant for grant in read_grants(self._file)}
        except InvalidInput as error:
            # The keys that were loaded before stay valid until the file is repaired.
            log.error("the file of keys was not reloaded: %s", error)


def _file_version(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def utc_now() -> datetime:
    return datetime.now(UTC)
